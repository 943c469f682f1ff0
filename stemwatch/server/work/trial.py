"""Tries the engine to tell its fault from a file's: a fresh worker separates a short made song.

If that fails, no song can be separated: then jobs wait in the queue and none is taken, until the
same trial passes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress

from stemwatch.extras import reinstall
from stemwatch.server.engines import Placed
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.process import TaskFailed, Worker, WorkerDied

SILENCE = 300.0  # seconds: a large model may be loaded from a slow disk
AGAIN = (1.0, 60.0)  # seconds between two trials that fail: at first, and at most


class Trial:
    """Trials of an engine. `why`: why the last one failed, or None.

    `placed` None: there is none, and only the probing of uploads is tried. `extras` are
    pyproject.toml's, for the sentence that says how to mend it.
    """

    def __init__(
        self,
        placed: Placed | None,
        files: Files,
        report: Callable[[str], None],
        extras: tuple[str, ...] = ("local",),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.why: str | None = None
        self._placed = placed
        self._extras = extras
        self._files = files
        self._report = report
        self._clock = clock
        self._under_way = asyncio.Lock()
        self._made = 0  # trials so far
        self._gap, self._next = AGAIN[0], 0.0

    async def passes(self) -> bool:
        """Make a trial; returns whether it passed. Callers meanwhile share its outcome.

        Raises OSError where the disk has no room for it.
        """
        before = self._made
        async with self._under_way:
            if self._made == before:
                self._next = self._clock() + self._gap  # set first: a full disk raises below
                self._note(await self._fault())
                self._made += 1
        return self.why is None

    async def require(self) -> None:
        """Refused with 503 while the engine doesn't work; a trial is made again when it is due."""
        from stemwatch.receiving.refusal import Refused  # starlette: no worker has a use for it

        if self.why is not None and self._clock() >= self._next:
            await self.passes()
        if self.why is not None:
            wait = max(1, math.ceil(self._next - self._clock()))
            raise Refused(503, self.why, {"Retry-After": str(wait)})

    async def wait(self) -> None:
        """Return once the engine works, as far as is known."""
        while self.why is not None:
            await asyncio.sleep(max(0.0, self._next - self._clock()))
            if self._clock() >= self._next:  # else another task has just tried
                with suppress(OSError):
                    await self.passes()

    async def _fault(self) -> str | None:
        trial, folder = await asyncio.to_thread(self._files.begin)
        try:
            worker = await Worker.start(self._placed)
            try:
                await worker.call({"task": "test", "folder": folder}, silence=SILENCE)
            except (WorkerDied, TaskFailed) as fault:
                if isinstance(fault, TaskFailed) and fault.kind == "disk":
                    raise OSError(str(fault)) from fault  # no library is to blame
                return str(fault).rstrip(".")
            finally:
                await worker.stop()
        finally:
            await asyncio.to_thread(self._files.discard, trial)
        return None

    def _note(self, fault: str | None) -> None:
        if fault is None:
            if self.why is not None:
                self._report("the engine works again")
            self.why, self._gap = None, AGAIN[0]
            return
        news = self.why is None
        self.why = (
            f"The separation engine works with no song at all: {fault}. Install its libraries "
            f"again: `{reinstall(*self._extras)}`; jobs wait meanwhile."
        )
        if news:
            self._report(self.why)
        self._next = self._clock() + self._gap
        self._gap = min(2 * self._gap, AGAIN[1])
