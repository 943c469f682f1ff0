"""Probes uploads: is it audio, and how long? A warm process decodes, so a crash stays in it."""

from __future__ import annotations

import asyncio

from stemwatch.receiving.refusal import Refused
from stemwatch.server.work.process import TaskFailed, Worker, WorkerDied
from stemwatch.server.work.trial import Trial

PROBE_SECONDS = 60.0


class Prober:
    """One probing process, started when first needed.

    `trial` tells a file's fault from one of our own.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._worker: Worker | None = None
        self._turn = asyncio.Lock()

    async def duration(self, source: str, name: str) -> float:
        """The length of the file `source` in seconds; `name` is what the client calls it.

        Refused with 415 when it isn't audio that can be decoded, and with 503 while the server
        can't read it, or can't decode anything.
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
                elif fault.kind == "disk":
                    raise Refused(503, str(fault), {"Retry-After": "60"}) from None
                elif fault.kind != "rejected":
                    raise Refused(500, str(fault)) from None
                raise Refused(415, str(fault)) from None
            except asyncio.CancelledError:
                await self.stop()  # or the next probe would get this one's answer
                raise
        return float(answer["duration"])

    async def _require_passing(self) -> None:
        """Refuse with 503 if the engine fails its trial too: then the file is not at fault."""
        await self.stop()  # the libraries that it has loaded may be broken
        await self._trial.passes()
        await self._trial.require()

    async def stop(self) -> None:
        if self._worker is not None:
            await self._worker.stop()
            self._worker = None
