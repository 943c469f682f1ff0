"""Is it audio, and how long? Asked in one warm process: a decoder's crash stays in there."""

from __future__ import annotations

import asyncio

from stemwatch.server.refusal import Refused
from stemwatch.server.work.process import TaskFailed, Worker, WorkerDied
from stemwatch.server.work.trial import Trial

PROBE_SECONDS = 60.0


class Prober:
    """Started at the first question; `trial` tells a file's fault from one of our own."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._worker: Worker | None = None
        self._turn = asyncio.Lock()

    async def duration(self, source: str, name: str) -> float:
        """Its length in seconds; refused with 415 when it isn't audio that can be decoded.

        Refused with 503 where nothing can be decoded here.
        """
        await self._trial.require()
        async with self._turn:
            if self._worker is None or not self._worker.alive:
                self._worker = await Worker.start(None)
            task = {"task": "probe", "source": source, "name": name}
            try:
                answer = await self._worker.call(task, silence=PROBE_SECONDS)
            except WorkerDied as fault:
                await self._require_passing()
                raise Refused(415, f"{name!r} broke the decoder: {fault}.") from None
            except TaskFailed as fault:
                if fault.kind == "internal":
                    await self._require_passing()
                elif fault.kind != "rejected":
                    raise Refused(500, str(fault)) from None
                raise Refused(415, str(fault)) from None
            except asyncio.CancelledError:
                await self.stop()  # it would give this answer to the next question
                raise
        return float(answer["duration"])

    async def _require_passing(self) -> None:
        """Nothing is refused for its own sake by a server that can do nothing."""
        await self.stop()  # what it has loaded may be what is broken
        await self._trial.passes()
        await self._trial.require()

    async def stop(self) -> None:
        if self._worker is not None:
            await self._worker.stop()
            self._worker = None
