"""The record of one separation job: what was asked for, and its result. No I/O."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

_EXTENSION = re.compile(r"[a-z0-9]{1,8}")
PLAIN = 176_400  # bytes that a second of a stem takes: 16 bits, stereo, 44.1 kHz; flac takes less
MP3 = 40_000


@dataclass(frozen=True, slots=True)
class Record:
    """One job, made on either wire and shown on both. Times are Unix seconds."""

    id: str
    name: str  # the file's own name, as the client sent it
    input: str  # its name in the job's directory
    stems: int
    format: str
    engine: str  # this and the next three: as it would be made, once done as it was made
    created_at: float
    model: str | None = None  # of a neural engine: its name, and the digest of its makers' file
    model_sha256: str | None = None
    device: str | None = None  # cpu | cuda:0; None: the engine knows none
    idempotency_key: str | None = None
    only: str | None = None  # the one stem that is delivered; None: all of them
    quality: str = "BEST"  # as asked for; the built-in engine knows one
    metadata: Mapping[str, Any] | None = None  # the client's own, given back as it is
    webhook_url: str | None = None  # of this job alone
    origin: str = ""  # the base URL at which the client reached us
    size: int = 0  # bytes of the input
    credits: int = 0  # taken at the submission: seconds of audio
    state: str = "processing"  # processing | completed | failed | expired
    owner: str = ""  # the name of the API key that it came with; "": there is one key, or none
    crashes: int = 0  # times that a worker died (or ran out of room) over it
    lost: int = 0  # times that the machine of its worker was gone
    started_at: float | None = None
    finished_at: float | None = None
    files: Mapping[str, str] = field(default_factory=dict)  # stem -> file name below stems/
    bpm: float | None = None
    key: str | None = None
    bpm_confidence: float | None = None
    key_confidence: float | None = None
    tuning_cents: float | None = None  # from A4 = 440 Hz
    first_beat_seconds: float | None = None  # of the grid of `bpm`, into the song
    duration: float | None = None  # seconds: as the file declares, once done as decoded
    error: str | None = None
    untold: tuple[str, ...] = ()  # the webhooks that have not been told of its end yet

    def evolve(self, **changes: Any) -> Record:
        return replace(self, **changes)

    def room(self) -> int:
        """Bytes that its stems take or will take, by the song's length; 0 where that is unknown."""
        second = (len(self.files) or self.stems) * (MP3 if self.format == "mp3" else PLAIN)
        return math.ceil((self.duration or 0.0) * second)


def dumps(record: Record) -> str:
    """As JSON in ASCII: a file's name may hold what is no Unicode."""
    # Not by asdict: it goes into `metadata`, and twice as deep as JSON's reader went.
    return json.dumps({one.name: getattr(record, one.name) for one in fields(record)}, indent=1)


def loads(text: str) -> Record:
    """The record that `dumps` wrote, fields of another version left out.

    Raises ValueError, TypeError or AttributeError for anything else.
    """
    values = json.loads(text)
    known = {one.name for one in fields(Record)}
    record = Record(**{key: values[key] for key in values if key in known})
    return record.evolve(untold=tuple(record.untold))


def input_name(name: str) -> str:
    """`input` with the client's extension if that is a plain one; no other part of its name."""
    _, dot, extension = name.lower().rpartition(".")
    return f"input.{extension}" if dot and _EXTENSION.fullmatch(extension) else "input"
