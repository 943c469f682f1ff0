"""The server's side of a worker process: starts it, gives it a task, notices its death."""

from __future__ import annotations

import asyncio
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

    def __init__(self, process: Process) -> None:
        self._process = process

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
        return self._process.returncode is None

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
                    raise WorkerDied(_ending(await self._process.wait()))
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
            raise WorkerDied(_ending(await self._process.wait())) from None
        except (ValueError, KeyError):  # half a line, or one without end
            await self.stop()
            raise WorkerDied("it answered something unreadable") from None

    async def stop(self) -> None:
        """Kill the process now; what it was making will be made again."""
        try:
            self._process.kill()
        except ProcessLookupError:
            pass
        await self._process.wait()


def _ending(code: int) -> str:
    if code == -signal.SIGKILL:
        return "it was killed, perhaps for want of memory"
    if code < 0:
        return f"it crashed ({signal.Signals(-code).name})"
    return f"it ended with exit code {code}"
