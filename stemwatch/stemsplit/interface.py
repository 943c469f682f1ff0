"""The interface of a separation API (`SeparationApi`), and the values that it takes and returns.

Wire A is `separate.SeparateApi`, wire B `presigned.PresignedApi`; `wires` knows them by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.heard import Heard
from stemwatch.job import Options
from stemwatch.limits import Limits


@dataclass(frozen=True, slots=True)
class Upload:
    """An open file to upload. `pread` reads it, so the descriptor's position is untouched.

    `size` in bytes, as it was hashed. `filename` as the user named it (may hold surrogates).
    `content` names the bytes of a file that was made for the upload: made again for a retry it is
    another file with the same bytes. None: the file's own identity says whether it is the same.
    """

    fd: int
    size: int
    filename: str
    codec: str | None = None
    content: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The API took the job; from here on it is paid for."""

    remote_id: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A verified callback: the job that it is about, and whether that job has ended."""

    remote_id: str
    ended: bool


class TooLarge(Reject):
    """The API takes `limit` bytes at most; a smaller, lossless form of the file may still do."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The file is larger than the {limit / 1e6:.0f} MB that the API takes.",
            code=Code.TOO_LARGE,
            hint="Convert it to MP3 or M4A and drop that, or cut it into parts.",
        )
        self.limit = limit


class RemoteStatus(StrEnum):
    """Only COMPLETED and FAILED end a job; a word that we don't know counts as RUNNING."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """One poll's answer, checked: every field is safe to store, show and act on.

    `stems`: known stem name -> URL; empty until completed, then complete. `bpm` is finite and
    positive, `key` printable text as the API gave it, `progress` between 0 and 1. `heard`,
    `engine`, the name and digest of its `model`, and the `device` that it computes on are sent by
    our own server only; None stands for StemSplit.
    """

    status: RemoteStatus
    stems: Mapping[str, str] = field(default_factory=dict)
    bpm: float | None = None
    key: str | None = None
    heard: Heard | None = None
    error: str | None = None
    progress: float | None = None
    engine: str | None = None
    model: str | None = None
    model_sha256: str | None = None
    device: str | None = None
    credits: float | None = None


class SeparationApi(Protocol):
    """The seam between the workers and a wire. Nothing here retries: that is the pool's policy.

    `lists_jobs`: whether `find_submission` can find a job. `tells_credit`: whether `balance` can
    tell the credit. `limits`: the length and size of songs that the API takes, as documented.
    `keeps_uploads`: seconds for which the storage keeps a finished upload until its job is
    submitted; None where the upload's connection has to stay open instead.
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
        """Send the file; `before_last_bytes` is awaited before the bytes that cost money are sent.

        An exception of `before_last_bytes` aborts the submission (nothing was accepted) and is
        raised unchanged. `on_sent` gets the number of audio bytes sent so far. Raises Reject,
        Unconfirmed, RetryLater or PauseService; only Unconfirmed may have been charged.
        """

    async def find_submission(self, idempotency_key: str, *, since: float) -> Submitted | None:
        """Find the job that was submitted with this key; None if there certainly is none.

        `since`: when it was submitted, Unix seconds. Raises Unconfirmed where the API can never
        tell, RetryLater or PauseService where it can't tell now.
        """

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:
        """Poll a job of `stems` stems once; raises Reject, RetryLater or PauseService."""

    async def balance(self) -> float | None:
        """Seconds of audio that the credit is good for; None where the API can't say.

        Raises as `job` does.
        """

    async def check_key(self) -> None:
        """Return if the API is there and takes the key; raises PauseService or RetryLater.

        Like `balance` and `is_here` it costs nothing, whatever the answer is.
        """

    async def is_here(self) -> bool:
        """Whether this address certainly takes submissions; False: only a submission can tell.

        Raises PauseService (`endpoint`) where it certainly takes none, else as `check_key` does.
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

    async def register_webhook(self, url: str, *, known: bool) -> str | None:
        """Register `url` to be called when a job ends. Returns the secret, which is told only once.

        None if the API gave none, or an earlier registration stands. `known`: we hold its secret.
        Raises as `job` does.
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
        """Verify a callback and say what it means. One of `secrets` must have signed `body`.

        Raises Forged, or Stale for an old callback and for one that is about no job.

        `headers` with lower-case names; `scheme` None is the wire's own; `now` in Unix seconds.
        """

    async def aclose(self) -> None:
        """Close every connection."""
