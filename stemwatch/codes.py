"""Every fault code with its rule: what waits, how often it is tried, what ends the wait.

A code is a fault's stable word in the journal, in reason files, in `status --json`, in messages and
in the log. Code that depends on it reads its rule here. HTTP answers become codes in
`stemsplit/statuses.py`: a 429 is RATE_LIMITED.

The wait of one song and a pause may have the same code: after a 503 a song waits with
`server_error`, and five such faults in a row begin the pause `server_error`. A song that alone
meets them, while others are served, goes to quarantine (`workers/steps/own_fault.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from math import inf
from types import MappingProxyType
from typing import Any

# The lanes, which pauses can hold back.
SUBMIT, CONFIRM, POLL, FETCH, FILE = "submit", "confirm", "poll", "fetch", "file"
UNPACK = "unpack"  # of songs that have their stems already: nothing is asked of the API


class Again(Enum):
    """How long a pause waits before each try; `Timing` has the seconds."""

    DISK = auto()  # always the same few seconds
    OUTAGE = auto()  # from some seconds up to most of a minute
    LIMIT = auto()  # after a 429 without a Retry-After
    HERE = auto()  # up to minutes: the test takes a second, on this machine
    ACCOUNT = auto()  # up to an hour: a person has to do something


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What follows from a code beyond its exception's class: who waits, and until when."""

    # -- for a PauseService: the lanes that it holds back; empty where the code never pauses
    holds: frozenset[str] = frozenset()
    one_inbox: bool = False  # it holds back only the inbox that met it
    again: Again = Again.ACCOUNT
    asked: bool = False  # the probe asks the API, which is useless while the server is down
    trial: str | None = None  # the lane in which one real song may try, where no probe can tell
    proven: bool = False  # an accepted submission shows that it is over
    on_trust: bool = False  # a probe or time ends it, and only the next submission proves the end
    passes: bool = False  # it ends without a person: the service still counts as ready
    awaited: bool = False  # `run --once` and `split` wait for some of its tries before they end
    ordered: bool = False  # a person or the clock begins and ends it: nothing is tried
    by_size: bool = False  # songs that are small enough pass by: `pool/choosing/passing.py`
    # -- for a RetryLater: counted tries of one song before it goes to quarantine; `inf`: never
    tries: float = 5
    # -- for both
    by_folder: bool = False  # over when the song's folder is well: a look at it wakes the song
    mended: bool = False  # a start tries at once, since a person may have mended it
    # -- for a song in quarantine
    lasting: bool = False  # the content itself is at fault: the same bytes will fail again
    anew: bool = False  # the remote job is lost: `retry` submits the song again
    # -- whether `status`, a reason file or a message shows the code
    shown: bool = True


def _pause(*holds: str, **more: Any) -> Rule:
    return Rule(holds=frozenset(holds), **more)


_SONG = Rule()
_LASTING = Rule(lasting=True)
_ANEW = Rule(anew=True)
_PATIENT = Rule(tries=inf)  # the network, the server or a disk is at fault, not the song
# A file is where its folder should be, or its earlier folder can't be read.
_BLOCKED = Rule(tries=inf, by_folder=True, mended=True)
_ELSE = Rule(shown=False)  # it concerns no song: it ends a command, or is logged only
# For codes that are not in the table: another party's engine has codes of its own.
_UNKNOWN = Rule(holds=frozenset({SUBMIT, FETCH}))


class Code(StrEnum):
    """The codes with their rules. Pauses are ended in the order of this list."""

    rule: Rule

    def __new__(cls, word: str, rule: Rule) -> Code:
        code = str.__new__(cls, word)
        code._value_ = word
        code.rule = rule
        return code

    # Pauses. Paid jobs are polled and fetched wherever that can work.
    ON_HOLD = "on_hold", _pause(SUBMIT, ordered=True, passes=True)  # by `stemwatch pause`
    OFF_HOURS = "off_hours", _pause(SUBMIT, ordered=True, one_inbox=True, passes=True)
    SERVER = (
        "server",
        _pause(SUBMIT, CONFIRM, POLL, again=Again.OUTAGE, proven=True, passes=True, awaited=True),
    )
    AUTH = "auth", _pause(SUBMIT, CONFIRM, POLL, asked=True, proven=True, on_trust=True)
    CREDIT = "credit", _pause(SUBMIT, trial=SUBMIT, asked=True, proven=True, on_trust=True)
    ENDPOINT = "endpoint", _pause(SUBMIT, trial=SUBMIT, asked=True, proven=True, on_trust=True)
    RATE_LIMITED = (
        "rate_limited",
        _pause(
            SUBMIT,
            CONFIRM,
            again=Again.LIMIT,
            proven=True,
            on_trust=True,
            passes=True,
            tries=inf,
        ),
    )
    SERVER_ERROR = (  # the server answers questions, but accepts no song
        "server_error",
        _pause(
            SUBMIT,
            again=Again.OUTAGE,
            trial=SUBMIT,
            asked=True,
            proven=True,
            passes=True,
            awaited=True,
            tries=inf,
        ),
    )
    STORAGE = "storage", _pause(SUBMIT, FETCH, again=Again.OUTAGE, trial=FETCH, passes=True)
    DISK = (
        "disk",
        _pause(
            SUBMIT, UNPACK, FETCH, again=Again.DISK, one_inbox=True, by_folder=True, mended=True
        ),
    )
    # Too little disk space for another song; paid songs have theirs reserved.
    ROOM = (
        "room",
        _pause(
            *(SUBMIT, UNPACK),
            again=Again.DISK,
            one_inbox=True,
            by_size=True,
            by_folder=True,
            mended=True,
        ),
    )
    INBOX = "inbox", _pause(SUBMIT, UNPACK, FILE, again=Again.DISK, one_inbox=True, mended=True)
    JOURNAL = "journal", _pause(SUBMIT, UNPACK, CONFIRM, POLL, FETCH, FILE, again=Again.DISK)
    # A fault of our own, in any step but the filing of an original, which waits alone. A song that
    # fails where others pass is quarantined at last.
    INTERNAL = (
        "internal",
        _pause(
            *(SUBMIT, UNPACK, CONFIRM, POLL, FETCH),
            again=Again.HERE,
            on_trust=True,
            awaited=True,
            mended=True,
        ),
    )
    AUDIO_HELPER = "audio_helper", _pause(SUBMIT, UNPACK, FETCH, again=Again.HERE, mended=True)

    # One song waits for as long as it takes.
    UNREACHABLE = "unreachable", _PATIENT
    NETWORK = "network", _PATIENT
    BUSY = "busy", _PATIENT
    STORAGE_BUSY = "storage_busy", _PATIENT
    NO_SLOT = "no_slot", _PATIENT  # its upload waited for a slot, and none became free in time
    NOT_WAITED = "not_waited", _PATIENT  # the server closed an upload that waited for a slot
    HELD = "held", _PATIENT  # a pause began after it was claimed
    UNREADABLE = "unreadable", Rule(tries=inf, mended=True)
    UNANSWERED = "unanswered", _PATIENT  # the server's list of jobs will be searched for it
    NOT_LISTED = "not_listed", _PATIENT  # it was not in that list, which is searched once more
    UNTAGGED = "untagged", _PATIENT
    BLOCKED = "blocked", _BLOCKED
    OUTBOX_BLOCKED = "outbox_blocked", _BLOCKED
    ORIGINAL_STAYS = "original_stays", _PATIENT

    # One song waits, and goes to quarantine after so many tries.
    JOB_MISSING = "job_missing", Rule(tries=3)  # after these tries it is JOB_LOST
    BAD_STEM = "bad_stem", Rule(tries=3)
    SHORT_BODY = "short_body", Rule(tries=3)
    URL_EXPIRED = "url_expired", Rule(tries=4)
    UPLOAD_LOST = "upload_lost", _SONG  # the API does not know it any more: it is made anew
    BAD_ANSWER = "bad_answer", _SONG
    REDIRECTED = "redirected", _SONG
    OVERSIZED_BODY = "oversized_body", _SONG
    TOO_SLOW = "too_slow", _SONG
    DISK_ERROR = "disk_error", Rule(mended=True)

    # One song needs a person.
    NOT_AUDIO = "not_audio", _LASTING
    NO_AUDIO_STREAM = "no_audio_stream", _LASTING
    CORRUPT = "corrupt", _LASTING
    TRUNCATED = "truncated", _LASTING
    PROTECTED = "protected", _LASTING
    CHAINED = "chained", _LASTING
    DECODER_CRASHED = "decoder_crashed", _SONG
    TOO_LARGE = "too_large", _SONG
    TOO_LONG = "too_long", _SONG
    TOO_SHORT = "too_short", _SONG
    BAD_REQUEST = "bad_request", _SONG
    UNSUPPORTED = "unsupported", _SONG
    UNPROCESSABLE = "unprocessable", _SONG
    REFUSED = "refused", _SONG
    SUBMISSION_UNCONFIRMED = "submission_unconfirmed", _SONG  # it may have been charged
    DUPLICATE_IN_QUARANTINE = "duplicate_in_quarantine", _SONG
    SEPARATION_FAILED = "separation_failed", _ANEW
    JOB_LOST = "job_lost", _ANEW
    OVERDUE = "overdue", _SONG
    MISSING_STEM = "missing_stem", _SONG
    FORBIDDEN_URL = "forbidden_url", _SONG
    MIX_MISMATCH = "mix_mismatch", _SONG

    # No song is shown with these.
    DELIVERY_DAMAGED = "delivery_damaged", _ELSE
    SIDECAR = "sidecar", _ELSE
    GONE = "gone", _ELSE
    CHANGED = "changed", _ELSE
    RETRY = "retry", _ELSE
    FAILED = "failed", _ELSE
    STALE_JOB = "stale_job", _ELSE
    ALREADY_PAID = "already_paid", _ELSE
    BUDGET = "budget", _ELSE
    STOPPED = "stopped", _ELSE  # a submission that the end of the service cut off
    NOT_IN_QUARANTINE = "not_in_quarantine", _ELSE
    NOT_NOW = "not_now", _ELSE
    WEBHOOK_FORGED = "webhook_forged", _ELSE
    WEBHOOK_STALE = "webhook_stale", _ELSE
    CONFIGURATION = "configuration", _ELSE
    ALREADY_RUNNING = "already_running", _ELSE
    LISTEN = "listen", _ELSE
    LOCAL_SERVER = "local_server", _ELSE
    MODEL_FETCH = "model_fetch", _ELSE


PAUSES = tuple(code for code in Code if code.rule.holds)
_RULES: Mapping[str, Rule] = MappingProxyType({code.value: code.rule for code in Code})


def rule_of(code: str) -> Rule:
    """The rule of `code`; a default rule if it is no member of `Code`."""
    return _RULES.get(code, _UNKNOWN)
