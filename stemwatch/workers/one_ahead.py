"""`Preparing`: one encoder, and the one song that is encoded while another uploads.

Encoded in its own turn, each song would leave the line idle for as long as that takes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field

from stemwatch.job import Identity, Job
from stemwatch.log import log
from stemwatch.tasks import supervised


@dataclass(frozen=True, slots=True)
class Made:
    """A prepared song: an open file without a name, its size in bytes, and its codec."""

    fd: int
    size: int
    codec: str

    def close(self) -> None:
        with suppress(OSError):  # it was only read; a fault here would hide the API's answer
            os.close(self.fd)


@dataclass(slots=True)
class _Ahead:
    job_id: int
    identity: Identity
    task: asyncio.Task[Made]


@dataclass(slots=True)
class Preparing:
    """`upload` and `low_bitrate` as in the configuration's `prepare`. All on one event loop.

    `encoder` is held by the song that is encoded: the other helper stays free for songs that
    arrive, and for stems.
    """

    upload: str = "auto"
    low_bitrate: str = "send"
    encoder: asyncio.Lock = field(default_factory=asyncio.Lock)
    closed: bool = False
    _ahead: _Ahead | None = None

    @property
    def ahead(self) -> int | None:
        """The id of the job that is prepared ahead, or being so; None: there is none."""
        return None if self._ahead is None else self._ahead.job_id

    def begin(self, job: Job, work: Coroutine[object, object, Made]) -> None:
        """Do `work` for `job`, while nothing else is ahead."""
        assert self._ahead is None
        assert not self.closed
        task = supervised(work, _is_met_again, name=f"prepare {job.id}")
        self._ahead = _Ahead(job.id, job.identity, task)

    async def take(self, job: Job) -> Made | None:
        """What was made ahead of `job`, awaited if it is in the making; the caller closes it.

        None: nothing was, or it failed. A caller that is cancelled ends the encoder with it.
        """
        if self._ahead is None or self._ahead.job_id != job.id:
            return None
        if self._ahead.identity != job.identity:
            await self.drop()
            return None
        task, self._ahead = self._ahead.task, None
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await _end(task)
            raise
        except Exception:
            return None  # the submission tries again, and tells of the fault

    async def close(self) -> None:
        """The pool stops: end what is ahead, for good."""
        self.closed = True
        await self.drop()

    async def drop(self) -> None:
        """End what is ahead, and give its disk space back."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            await _end(ahead.task)


async def _end(task: asyncio.Task[Made]) -> None:
    """Cancel the task, wait for its end, and close what it made before it could be cancelled."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _is_met_again(fault: BaseException) -> None:
    """By the song's submission, which tells of it."""
    log.debug("job.not_prepared_ahead", message=str(fault))
