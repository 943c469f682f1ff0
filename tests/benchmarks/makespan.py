"""What a batch cost and what it could have cost: the arithmetic of the makespan benchmark. No I/O.

All times in seconds, sizes in bytes.
"""

from __future__ import annotations

import heapq
import random
import struct
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scenario:
    """50 songs, or as many as are asked for, through so many slots."""

    name: str
    slots: int
    job: float = 45.0  # seconds of a job, before scaling
    varies: float = 0.0  # by this much, up and down
    with_audio: bool = False  # ... with the song's length, or by chance
    song_bytes: int = 100_000
    audio: float = 2.0  # seconds: its stems are 176 kB a second each
    up: float | None = None  # bytes a second of the line, for uploads
    down: float | None = None  # ... and for downloads
    strict: str | None = "end"  # where the server refuses what is too much; None: it queues
    server_slots: int | None = None  # None: as many as we believe
    files: int | None = None  # None: as many as are asked for

    def factor(self, number: int) -> float:
        """How much longer than most this song's job takes: the same in every run."""
        return 1.0 + self.varies * random.Random(number * 7919 + 13).uniform(-1.0, 1.0)

    def seconds(self, number: int) -> float:
        """Of audio."""
        return self.audio * (self.factor(number) if self.with_audio else 1.0)


@dataclass(frozen=True)
class Taken:
    """One job as the server had it."""

    number: int
    accepted: float
    ends: float


def bound(scenario: Scenario, order: list[int], scale: float) -> float:
    """The makespan without overhead: a serial uplink, slots refilled at once, a serial downlink.

    `order` as the songs were really taken: a better order is no overhead.
    """
    slots = [0.0] * (scenario.server_slots or scenario.slots)
    sent, ends = 0.0, []
    for number in order:
        sent += scenario.song_bytes / scenario.up if scenario.up else 0.0
        end = max(sent, heapq.heappop(slots)) + scenario.job * scale * scenario.factor(number)
        heapq.heappush(slots, end)
        ends.append((end, number))
    done = 0.0
    for end, number in sorted(ends):
        stems = 2 * 176_400 * scenario.seconds(number)
        done = max(done, end) + (stems / scenario.down if scenario.down else 0.0)
    return done


def refills(taken: list[Taken], slots: int) -> list[float]:
    """From each job's end to the acceptance of the one that got its slot."""
    free: list[float] = []
    found = []
    for job in sorted(taken, key=lambda one: one.accepted):
        if len(free) >= slots:
            found.append(max(0.0, job.accepted - heapq.heappop(free)))
        heapq.heappush(free, job.ends)
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def busiest(log: list[dict[str, Any]], window: float) -> int:
    """The most requests to the API in any `window` seconds."""
    asked = sorted(entry["time"] for entry in log if entry["route"] in {"post", "get", "ticket"})
    first = most = 0
    for last, moment in enumerate(asked):
        while asked[first] < moment - window:
            first += 1
        most = max(most, last - first + 1)
    return most


def song(scenario: Scenario, number: int) -> bytes:
    """A WAV of the wanted length and the wanted size: silence, and a chunk that nobody reads."""
    rate = 4000
    frames = round(scenario.seconds(number) * rate)
    data = number.to_bytes(4, "little") + bytes(frames * 2 - 4)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data
    rest = max(0, scenario.song_bytes - len(body) - 16) // 2 * 2
    noise = random.Random(number).randbytes(rest)
    body += struct.pack("<4sI", b"junk", rest) + noise
    return struct.pack("<4sI", b"RIFF", len(body)) + body
