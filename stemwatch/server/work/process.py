"""The server's side of a worker process: starts it, gives it a task, notices its death."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any

from stemwatch.server.engines import Placed

SECRETS = (
    "STEMSPLIT_API_KEY",
    "STEMWATCH_SERVE_KEY",
    "STEMWATCH_QUEUE_URL",
)  # a decoder has no use for them
# One thread each: several workers with a pool of threads each make one another slower.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
PATIENCE = 5.0  # seconds in which a process that was killed has ended


def environment() -> dict[str, str]:
    """Our environment for a child process, without the secrets."""
    return {name: value for name, value in os.environ.items() if name not in SECRETS}


class WorkerDied(Exception):
    """The process ended before it answered, or was killed for its silence."""


class TaskFailed(Exception):
    """The worker answered with an error.

    `kind`: rejected, failed, internal (a fault of our own, or the engine's), memory or disk.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Worker:
    """One warm process with an engine, or with none where it only probes."""

    def __init__(self, process: Process, *, patience: float = PATIENCE) -> None:
        self._process = process
        self._patience = patience
        self._stopped = False

    @classmethod
    async def start(cls, engine: Placed | None) -> Worker:
        # -P: a file named like a library in the user's current folder must not be imported.
        command = [
            sys.executable,
            "-P",
            "-m",
            "stemwatch.server.work.worker",
            *([engine.place, json.dumps(dict(engine.settings))] if engine else []),
        ]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env={**environment(), **ONE_THREAD}
        )
        return cls(process)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None and not self._stopped

    async def call(
        self,
        task: dict[str, Any],
        *,
        silence: float,
        progress: Callable[[float], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Do a task and return its answer. `progress` gets numbers between 0 and 1.

        Raises TaskFailed, or WorkerDied (also after `silence` seconds without a word). After
        WorkerDied, or when cancelled, the worker is of no more use.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(task).encode() + b"\n")
            await stdin.drain()
            while True:
                async with asyncio.timeout(silence):
                    line = await stdout.readline()
                if not line.endswith(b"\n"):
                    raise await self._death()
                answer = json.loads(line)
                if "done" in answer:
                    done: dict[str, Any] = answer["done"]
                    return done
                if "error" in answer:
                    raise TaskFailed(answer["error"]["kind"], answer["error"]["message"])
                progress(answer["progress"])
        except TimeoutError:
            await self.stop()
            raise WorkerDied(f"it made no progress for {silence:.0f} s") from None
        except ConnectionError:
            raise await self._death() from None
        except (ValueError, KeyError):  # half a line, or one without end
            await self.stop()
            raise WorkerDied("it answered something unreadable") from None

    async def stop(self) -> None:
        """Kill the process now; what it was making will be made again.

        One that waits for a dead disk outlives even that: it is left, and ends when it can.
        """
        self._stopped = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._code()

    async def _death(self) -> WorkerDied:
        code = await self._code()
        if code is None:
            await self.stop()
            return WorkerDied("it went silent and did not end")
        return WorkerDied(_ending(code))

    async def _code(self) -> int | None:
        """The exit code; None where the process does not end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                return await self._process.wait()
        return None


async def end(worker: Worker | None) -> None:
    """Stop a seat's worker, if it has one: its memory goes back to the machine."""
    if worker is not None:
        await worker.stop()


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "it was killed, perhaps for want of memory"
    if code < 0:
        return f"it crashed ({signal.Signals(-code).name})"
    return f"it ended with exit code {code}"
