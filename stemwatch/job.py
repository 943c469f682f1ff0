"""One song as a job: its identity, its options and its states. No I/O.

Each state names what is already durable, so that a kill at any moment is safe. Waiting is a time
(`not_before`) and a count (`attempts`), never a state. Which jobs are running is in memory only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from os import stat_result
from types import MappingProxyType
from typing import Any, NamedTuple

from stemwatch.codes import Code, rule_of
from stemwatch.heard import Heard

# The stems that each number of stems gives, in the order of the API's documentation.
STEMS: Mapping[int, tuple[str, ...]] = MappingProxyType(
    {
        2: ("vocals", "instrumental"),
        4: ("vocals", "drums", "bass", "other"),
        6: ("vocals", "drums", "bass", "other", "guitar", "piano"),
    }
)
FORMATS = ("wav", "flac", "mp3")
STEM_FILES = ("alac", "aac")  # the codecs of the one file with all stems
AT_HAND = "stem-file"  # the engine of songs that came with their stems: nothing is separated
_WITHIN_OTHER = frozenset({"guitar", "piano"})  # of four stems; of six each is one of its own


class JobState(StrEnum):
    """The states of a job; each says what is true on disk."""

    QUEUED = "queued"  # settled, hashed, probed, in the journal; the file is in the inbox
    SUBMITTING = "submitting"  # intent and idempotency key are on disk; it may have been charged
    SEPARATING = "separating"  # the remote id is on disk
    SEPARATED = "separated"  # the remote is done; tempo and key are on disk
    DELIVERED = "delivered"  # the folder is whole in the outbox; the original may not be filed yet
    DONE = "done"  # the original is filed
    QUARANTINED = "quarantined"  # the song needs a person
    GONE = "gone"  # the file was taken back or replaced before it was submitted, or forgotten later


_S = JobState
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        # queued -> delivered: the same content was paid for before, and its stems are reused
        _S.QUEUED: frozenset({_S.SUBMITTING, _S.DELIVERED, _S.QUARANTINED, _S.GONE}),
        # submitting -> queued: the server's answer shows that it accepted nothing (429, 401, ...)
        _S.SUBMITTING: frozenset({_S.SEPARATING, _S.QUEUED, _S.QUARANTINED}),
        _S.SEPARATING: frozenset({_S.SEPARATED, _S.QUARANTINED}),
        _S.SEPARATED: frozenset({_S.DELIVERED, _S.QUARANTINED}),
        _S.DELIVERED: frozenset({_S.DONE}),
        _S.DONE: frozenset(),
        # a person's retry resumes at the furthest state that is already paid for
        _S.QUARANTINED: frozenset({_S.QUEUED, _S.SEPARATING, _S.SEPARATED, _S.GONE}),
        _S.GONE: frozenset(),
    }
)
# The furthest state first: finishing paid songs comes before paying for others.
ACTIVE = (_S.DELIVERED, _S.SEPARATED, _S.SEPARATING, _S.SUBMITTING, _S.QUEUED)
UNDER_WAY = (_S.SUBMITTING, _S.SEPARATING, _S.SEPARATED)  # its content is not sent again meanwhile
IN_OUTBOX = (_S.DELIVERED, _S.DONE)
TO_BE_FILED = (_S.DELIVERED, _S.QUARANTINED)  # only the original remains to be moved
MAY_BE_CHARGED = frozenset({_S.SUBMITTING, _S.SEPARATING, _S.SEPARATED, _S.DELIVERED, _S.DONE})


# The fields that every step forward clears, since the fault in them is over.
CLEARED: Mapping[str, Any] = MappingProxyType(
    dict.fromkeys(("code", "message", "hint", "http_status", "unfiled"))
)


class Identity(NamedTuple):
    """Identifies a file beyond its path, which another file may take at any moment.

    `size` is in bytes, `mtime_ns` in nanoseconds.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, stat: stat_result) -> Identity:
        return cls(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)

    @property
    def unseen(self) -> bool:
        """Whether it is of no file: its job was read back from a sidecar."""
        return (self.device, self.inode) == (0, 0)


WANTED_BACK = "wanted_back"  # the code of an `Unfiled` whose song `retry` asked for


class Unfiled(NamedTuple):
    """Why an original is not in the archive or the quarantine yet, after `tries` tries.

    It is kept apart from the job's own `code`, which says why the job is in quarantine.
    """

    code: str
    message: str
    hint: str
    tries: int


@dataclass(frozen=True, slots=True)
class Options:
    """What to make of a song: the number of stems, their format, the mixes and the stem file.

    `mixes` holds the stems of each mix by its name, `stem_file` the codec of the one file with all
    stems (`alac` or `aac`; None: there is none). Both are made here and cost nothing.
    """

    stems: int = 2
    format: str = "wav"
    mixes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stem_file: str | None = None


def options_at_hand(options: Options) -> Options:
    """What can be made of a song that has its four stems already, where `options` are asked for.

    Of six stems the four are left. A mix that needs guitar or piano is left out, unless it takes
    all that the stem `other` has inside.
    """
    if options.stems != 6:
        return options
    mixes = {}
    for mix, parts in options.mixes.items():
        inside = _WITHIN_OTHER.intersection(parts)
        if not inside or (inside == _WITHIN_OTHER and "other" in parts):
            mixes[mix] = tuple(part for part in parts if part not in inside)
    return replace(options, stems=4, mixes=mixes)


def content_key(content: str, options: Options, *, local: bool, at_hand: bool = False) -> str:
    """The key of what is paid for once: content, options of the API, and place of separation.

    `content` is a Job's. `local` is part of it because a preview made on this machine must not be
    reused as paid stems, `at_hand` because a stem file's own stems are none that were separated.
    Mixes and the stem file are not, since both are made from the stems for free.
    """
    place = AT_HAND if at_hand else "local" if local else "api"
    return f"{content}:{options.stems}:{options.format}:{place}"


@dataclass(frozen=True)
class Job:
    """One row of the journal. It is never changed in place: `evolve` gives a changed copy.

    Paths are `str` with surrogate escapes (stored as bytes). Times are Unix seconds. Durations are
    seconds of audio.
    """

    id: int
    state: JobState
    path: str  # where the original is: absolute
    relpath: str  # below the inbox (or the folder given to `split`), with "/"
    identity: Identity
    sha256: str
    content_key: str
    options: Options
    outbox: str  # the folder for results, which mirrors the inbox: absolute
    origin: str = "inbox"  # inbox | split
    inbox: str | None = None  # the name of its inbox, where there are several
    owner: str | None = None  # the `split` process that works on it; None: the service
    duration: float | None = None  # seconds of audio
    codec: str | None = None
    sample_rate: int | None = None
    channels: int | None = None
    idempotency_key: str | None = None
    remote_id: str | None = None
    engine: str | None = None  # that made its stems; AT_HAND from the beginning, else told late
    model: str | None = None  # of a neural engine: its weights' name, and
    model_sha256: str | None = None  # the digest of the file that their makers published
    bpm: float | None = None
    key: str | None = None  # as the API gave it, such as "C# minor"
    heard: Heard | None = None  # what else the server heard in it; None: nothing
    credits: float | None = None  # seconds of audio that the API says it charged
    uploaded_codec: str | None = None  # of what the last submission sent: `flac` of a WAV, and
    uploaded_bytes: int | None = None  # its size
    submitted_at: float | None = None
    completed_at: float | None = None
    delivered_to: str | None = None  # the song's folder in the outbox: absolute
    filed_to: str | None = None  # where the original went (archive or quarantine); None: not moved
    not_before: float = 0.0  # Unix seconds; not claimed earlier
    first_at: float | None = None  # Unix seconds: when `first` put it before all that wait
    attempts: int = 0
    code: str | None = None  # why it waits or is quarantined
    message: str | None = None
    hint: str | None = None
    http_status: int | None = None
    request_id: str | None = None
    anew: bool = False  # `stemwatch again`: paid anew, whatever stems there are already
    song_tags: Mapping[str, str] | None = None  # for its name: see `patterns`; None: not read
    unfiled: Unfiled | None = None  # why the original can't be moved; it is tried again
    created_at: float = 0.0
    updated_at: float = 0.0
    audio_sha256: str | None = None  # of the sound alone, where that can be told from tags

    @property
    def content(self) -> str:
        """What its separation belongs to: the sound, or all bytes where that is unknown."""
        return self.audio_sha256 or self.sha256

    @property
    def at_hand(self) -> bool:
        """Whether its file has its stems already, so that they are unpacked and nothing is paid."""
        return self.engine == AT_HAND

    @property
    def admitted(self) -> bool:
        """Whether the file was hashed and its length is known, so that it can be submitted."""
        return bool(self.sha256) and self.duration is not None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.relpath.rsplit("/", 1)[-1]

    @property
    def named(self) -> dict[str, str | None]:
        """The song's fields for the log. The name alone may be that of songs in several folders."""
        return {"name": self.name, "relpath": self.relpath, "inbox": self.inbox}

    def evolve(self, **changes: Any) -> Job:
        """A copy with other values. Raises TypeError for a name that is no field."""
        if not changes.keys() <= _FIELDS:
            raise TypeError(f"a Job has no {', '.join(changes.keys() - _FIELDS)}")
        # Without __init__, which sets 35 fields one by one: that took a sixth of a transition.
        evolved = object.__new__(Job)
        vars(evolved).update(vars(self), **changes)
        return evolved


_FIELDS = frozenset(f.name for f in fields(Job))


def resume_state(job: Job) -> JobState:
    """The state in which a retry resumes: the furthest one that is already paid for.

    A job that the remote reported as failed or lost has nothing to fetch, and starts anew.
    """
    if job.remote_id is None or (job.code is not None and rule_of(job.code).anew):
        return JobState.QUEUED
    return JobState.SEPARATED if job.completed_at is not None else JobState.SEPARATING


def resumed_fields(job: Job) -> dict[str, object]:
    """The fields that a retry resets, with their values.

    The idempotency key stays where the server may have taken a submission after all, or may take it
    yet: the next one repeats it.
    """
    doubtful = job.code in (Code.SUBMISSION_UNCONFIRMED, Code.SERVER_ERROR)
    anew = resume_state(job) is JobState.QUEUED
    fields: dict[str, object] = {"filed_to": None, "attempts": 0, "not_before": 0.0, **CLEARED}
    if anew:
        fields |= {"remote_id": None, "request_id": None, "completed_at": None}
        fields["idempotency_key"] = job.idempotency_key if doubtful else None
    return fields


def may_be_paid(job: Job) -> bool:
    """Whether money is in this job, or may be: what this machine separated cost nothing."""
    submitted = job.remote_id is not None or job.code == Code.SUBMISSION_UNCONFIRMED
    return submitted and not job.content_key.endswith(":local")
