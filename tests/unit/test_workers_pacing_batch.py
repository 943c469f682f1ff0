"""Fifty jobs through a few slots on a clock of the test's own: how many polls, how soon seen."""

from __future__ import annotations

import asyncio
import heapq
import random
from dataclasses import dataclass, field

import pytest

from stemwatch.workers.pacing.polls import Polls
from stemwatch.workers.pacing.request_budget import RequestBudget

JOB = 45.0  # seconds of a job for MINUTES of audio
AUDIO = 240.0
BATCHES = 12  # fewer differ by half a poll


@dataclass
class Batch:
    """What `run` found: polls a job, and how late ends were seen, as a share of a job."""

    slots: int
    per_minute: int
    server_slots: int = 99  # what it is sent beyond these waits there in a queue
    polls: float = 0.0
    late: float = 0.0
    asked: list[float] = field(default_factory=list)  # when anything was asked for
    now: float = 0.0

    def run(self, factors: list[float], *, by_audio: bool = False) -> Batch:
        budget = RequestBudget(self.per_minute, lambda: self.now)
        schedule = Polls(3.0, 0.5, 300.0, 30.0, rate=lambda: budget.rate)
        waiting = list(enumerate(factors))
        ends: dict[int, float] = {}
        free_at = [0.0] * self.server_slots
        delays = []
        while waiting or len(schedule):
            if waiting and len(ends) < self.slots and budget.delay() == 0.0:
                job, factor = waiting.pop(0)
                self._ask(budget)
                begins = max(self.now, heapq.heappop(free_at))
                ends[job] = begins + JOB * factor
                heapq.heappush(free_at, ends[job])
                audio = AUDIO * factor if by_audio else AUDIO
                schedule.started(job, self.now, audio=audio)
                continue
            spare = budget.delay(spare=self.slots)
            polled = schedule.take_due(self.now) if spare == 0.0 else None
            if polled is None:
                self.now += self._pause(schedule, budget, waiting and len(ends) < self.slots)
                continue
            self._ask(budget)
            self.polls += 1 / len(factors)
            if ends[polled] > self.now:
                schedule.running(polled, self.now)
            else:
                schedule.done(polled, self.now)
                delays.append(self.now - ends.pop(polled))
        self.late = sum(delays) / len(delays) / JOB
        return self

    def _pause(self, schedule: Polls, budget: RequestBudget, wanted: object) -> float:
        due = schedule.next_due()
        waits = [max(due - self.now, budget.delay(spare=self.slots))] if due is not None else []
        if wanted:
            waits.append(budget.delay())
        return max(0.001, min(waits))

    def _ask(self, budget: RequestBudget) -> None:
        asyncio.run(budget.take())
        self.asked.append(self.now)

    @property
    def busiest(self) -> int:
        """The most requests in any minute."""
        return max(sum(t - 60.0 < u <= t for u in self.asked) for t in self.asked)


def factors(seed: int, varies: float) -> list[float]:
    chance = random.Random(seed)
    return [1.0 + varies * chance.uniform(-1.0, 1.0) for _ in range(50)]


@pytest.mark.parametrize(
    ("slots", "per_minute", "varies", "by_audio", "polls", "late"),
    [
        (3, 60, 0.0, False, 3.5, 0.015),
        (3, 60, 0.25, False, 8.0, 0.025),
        (3, 60, 0.25, True, 3.5, 0.02),
        (10, 240, 0.0, False, 3.0, 0.015),
        (10, 240, 0.25, False, 8.0, 0.024),
        (10, 240, 0.25, True, 4.5, 0.02),
        (10, 60, 0.25, False, 4.0, 0.14),  # the requests of a minute are what there is
    ],
)
def test_few_polls_find_the_ends(
    slots: int, per_minute: int, varies: float, by_audio: bool, polls: float, late: float
) -> None:
    """At most 8 polls a job where jobs vary by a quarter, and never over the budget."""
    batches = [
        Batch(slots, per_minute).run(factors(seed, varies), by_audio=by_audio)
        for seed in range(BATCHES)
    ]
    assert sum(batch.polls for batch in batches) / BATCHES <= polls
    assert sum(batch.late for batch in batches) / BATCHES <= late
    assert max(batch.busiest for batch in batches) <= per_minute


def test_where_the_server_queues_only_those_that_may_be_next_are_asked_for() -> None:
    """Ten at a server of three: most wait there, and asking for them tells nothing."""
    batches = [Batch(10, 240, server_slots=3).run(factors(seed, 0.25)) for seed in range(BATCHES)]
    assert sum(batch.polls for batch in batches) / BATCHES <= 18.0  # of all of them: 25
    assert sum(batch.late for batch in batches) / BATCHES <= 0.04


def test_longer_songs_are_asked_for_later() -> None:
    """What was learnt from a song of four minutes, for one of eight."""
    schedule = Polls(3.0, 0.5, 300.0, 30.0)
    for job, factor in enumerate((1.0, 0.5, 1.5)):
        schedule.estimate.observe(JOB * factor - 1.0, JOB * factor, AUDIO * factor)
        assert job in range(3)
    schedule.started(1, 0.0, audio=2 * AUDIO)
    due = schedule.next_due()
    assert due is not None
    assert 80.0 < due <= 90.0
