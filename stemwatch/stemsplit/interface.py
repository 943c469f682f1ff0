"""What the rest of stemwatch sees of a separation API: its values and its one interface.

Wire A is `separate.SeparateApi`, wire B `presigned.PresignedApi`; `wires` knows them by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.job import Options
from stemwatch.limits import Limits


@dataclass(frozen=True, slots=True)
class Upload:
    """An open file on its way up: read with `pread`, so the descriptor's position is untouched.

    `size` in bytes, as it was hashed. `filename` as the user named it (may hold surrogates).
    """

    fd: int
    size: int
    filename: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """The API took the job; from here on it is paid for."""

    remote_id: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left to be spent, in seconds of audio."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Registered:
    """A webhook that was just made; `secret` where the API gave one (it is told only once)."""

    secret: str | None


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A callback whose signature fits: the job that it is about, and whether that has ended."""

    remote_id: str
    ended: bool


class TooLarge(Reject):
    """The API takes `limit` bytes at most; a smaller, lossless form of the file may still do."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The file is larger than the {limit / 1e6:.0f} MB that the API takes.",
            code=Code.TOO_LARGE,
            hint="Convert it to FLAC or MP3 and drop that.",
        )
        self.limit = limit


class RemoteStatus(StrEnum):
    """Unknown words of the API count as running: only these two end a job."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """One poll's answer, checked: every field is safe to store, show and act on.

    `stems`: known stem name -> URL, filled only when completed, then complete. `bpm` is finite and
    positive, `key` printable text as the API gave it, `duration` in seconds of audio, `progress`
    between 0 and 1. `engine` is sent by our own server only; None stands for StemSplit.
    """

    id: str
    status: RemoteStatus
    stems: Mapping[str, str] = field(default_factory=dict)
    bpm: float | None = None
    key: str | None = None
    duration: float | None = None
    error: str | None = None
    progress: float | None = None
    engine: str | None = None
    credits: float | None = None


class SeparationApi(Protocol):
    """The seam between the workers and a wire. Nothing in it retries: that is the pool's policy.

    `lists_jobs`: whether `find_submission` can tell anything. `tells_credit`: whether `balance`
    can. `limits`: the songs that it takes, as far as that is known before it is asked.
    `keeps_uploads`: seconds for which one that is done waits for its job at the storage; None
    where a connection has to be held.
    """

    lists_jobs: bool
    tells_credit: bool
    limits: Limits
    keeps_uploads: float | None

    async def submit(
        self,
        upload: Upload,
        options: Options,
        *,
        idempotency_key: str,
        before_last_bytes: Callable[[], Awaitable[None]],
        on_sent: Callable[[int], None],
    ) -> Submitted:
        """Send the file; `before_last_bytes` is awaited when only the bytes that cost are left.

        What it raises aborts the submission (nothing was accepted) and comes out unchanged.
        `on_sent` gets the audio bytes sent so far. Raises Reject, Unconfirmed, RetryLater or
        PauseService; only Unconfirmed may have been charged.
        """

    async def find_submission(self, idempotency_key: str, *, since: float) -> Submitted | None:
        """The job that the submission with this key became; None if it certainly became none.

        `since`: when it was submitted, Unix seconds. Raises Unconfirmed where the API can't tell,
        RetryLater or PauseService where it can't now.
        """

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:
        """Ask once how a job is; raises Reject, RetryLater or PauseService."""

    async def balance(self) -> Balance | None:
        """What is left to be spent, None where the API can't say; raises as `job` does."""

    async def check_key(self) -> None:
        """Return if the API is there and takes the key; raises PauseService or RetryLater.

        Like `balance` and `is_here` it costs nothing, whatever the answer is.
        """

    async def is_here(self) -> bool:
        """Whether this address certainly takes submissions; False: only one of them can tell.

        Raises PauseService (`endpoint`) where it certainly does not, else as `check_key` does.
        """

    async def download(
        self,
        url: str,
        dest_fd: int,
        *,
        limit: int,
        deadline: float,
        on_received: Callable[[int], None],
    ) -> int:
        """Write a stem's body to `dest_fd`; returns its bytes.

        `limit` in bytes, `deadline` the seconds allowed from now. `on_received` gets the bytes
        received so far. Raises Reject, RetryLater or PauseService.
        """

    async def register_webhook(self, url: str, *, known: bool) -> Registered | None:
        """Have `url` called when a job ends; None if it already is, with the secret we hold.

        `known`: we hold its secret from an earlier time. Raises as `job` does.
        """

    def parse_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        secrets: Collection[str],
        scheme: str | None,
        now: float,
    ) -> WebhookEvent:
        """A call's meaning, if one of `secrets` signed its raw `body`; raises Forged or Stale.

        `headers` with lower-case names; `scheme` None is the wire's own; `now` in Unix seconds.
        """

    async def aclose(self) -> None:
        """Close every connection."""
