"""An API in memory that tells what it was sent, and a context that submits to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from stemwatch.job import Identity, Options
from stemwatch.limits import Limits
from stemwatch.stemsplit.interface import RemoteJob, Submitted, Upload
from stemwatch.workers.context import Context
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job
from tests.support.scenario.caller import make_song


class Wire:
    """An API that tells what it was sent. `fault` is raised instead of an answer."""

    lists_jobs = False
    tells_credit = False
    limits = Limits()
    keeps_uploads = None

    def __init__(self, fault: Exception | None = None) -> None:
        self.begun = 0  # submissions whose upload began
        self.reached: asyncio.Queue[str] = asyncio.Queue()
        self.charged = False  # the last bytes were sent
        self.answered = False
        self._fault = fault

    async def submit(
        self,
        upload: Upload,
        options: Options,  # noqa: ARG002
        *,
        idempotency_key: str,  # noqa: ARG002
        before_last_bytes: Callable[[], Awaitable[None]],
        on_sent: Callable[[int], None],
    ) -> Submitted:
        self.begun += 1
        self.reached.put_nowait("begun")
        await turns(3)
        on_sent(upload.size)
        self.reached.put_nowait("intending")
        await before_last_bytes()
        self.charged = True
        self.reached.put_nowait("charged")
        await turns(5)
        self.reached.put_nowait("answered")
        if self._fault is not None:
            raise self._fault
        self.answered = True
        return Submitted("remote-1")

    async def job(self, remote_id: str, *, stems: int) -> RemoteJob:  # noqa: ARG002
        raise AssertionError("nothing is asked for in these tests")

    async def check_key(self) -> None: ...

    async def is_here(self) -> bool:
        return True

    async def download(self, *_: object, **__: object) -> int:
        raise AssertionError("nothing is fetched in these tests")

    async def aclose(self) -> None: ...


@asynccontextmanager
async def opened(root: Path, wire: Wire) -> AsyncIterator[Context]:
    """A working set of its own in `root`, with one song that is queued."""
    home = Home(root, "http://127.0.0.1:9/v1", api={"poll_interval": 60.0})
    async with context_of(home) as context:
        context.api = wire
        song = make_song(home.inbox / "song.wav")
        identity = Identity.of(os.stat(song))
        job = new_job(path=str(song), relpath="song.wav", identity=identity)
        await context.journal.add(job.evolve(outbox=str(home.outbox)))
        yield context


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
