"""The real service in a fork of a process that has imported it already: `-m tests.faults.forked`.

Two things come of it. A start costs milliseconds, so that hundreds of kills take minutes; and the
fork waits until a tracer is attached, so that strace counts the system calls of each of its threads
from the service's own first one on (the thousands that Python makes to import it would come first).
The helper processes that the service starts are let go by strace at their `execve`: they are never
killed instead of it, and never with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from stemwatch import config, log
from stemwatch.config.api_key import load_key
from stemwatch.service.app import run_service
from stemwatch.workers.pacing.timing import Timing

_ANY_TRACER = (0x59616D61, ctypes.c_ulong(-1))  # prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY)
ROOT = Path(__file__).parents[2]


class Stuck(Exception):
    """A run did not end in time (and was killed)."""


class Forks:
    """Runs `stemwatch run --once` again and again, each in a fork of one warm process."""

    def __init__(self, key: str) -> None:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        self._warm = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forked"],
            cwd=ROOT,
            env=kept | {"HOME": "/nonexistent", "STEMSPLIT_API_KEY": key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, settings: Path, *, factor: float, strace: list[str] | None = None, patience: float
    ) -> int:
        """One run to its end: its exit code, or minus the number of the signal that ended it.

        `strace` are the arguments of a tracer to attach first. Raises Stuck.
        """
        pid = int(self._ask(json.dumps({"config": str(settings), "factor": factor})))
        tracer = None
        if strace is not None:
            tracer = subprocess.Popen(
                ["strace", "-f", "-qqq", "-b", "execve", *strace, "-p", str(pid)],
                stderr=subprocess.DEVNULL,
            )
            _wait_until_traced(pid, tracer)
        process = os.pidfd_open(pid)  # never another process that has its number by then
        timer = threading.Timer(patience, _end, (process,))
        timer.start()
        started = time.monotonic()
        status = int(self._ask("go"))
        timer.cancel()
        timer.join()
        os.close(process)
        if tracer is not None:
            tracer.wait(30)
        if time.monotonic() - started >= patience:
            raise Stuck(f"not ended after {patience:g} s")
        return os.waitstatus_to_exitcode(status)

    def _ask(self, line: str) -> str:
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._warm.stdin.write(line + "\n")
        self._warm.stdin.flush()
        answer = self._warm.stdout.readline()
        if not answer:
            raise RuntimeError("the warm process ended")
        return answer

    def __enter__(self) -> Forks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._warm.stdin is not None
        assert self._warm.stdout is not None
        self._warm.stdin.close()
        self._warm.wait(30)
        self._warm.stdout.close()


def _end(process: int) -> None:
    """Where every thread of it stands goes into its log first."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGUSR2)
        time.sleep(0.5)
        signal.pidfd_send_signal(process, signal.SIGKILL)


def _wait_until_traced(pid: int, tracer: subprocess.Popen[bytes]) -> None:
    while "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text():
        if tracer.poll() is not None:
            raise RuntimeError("strace could not attach")
        time.sleep(0.002)


def main() -> None:
    """Each order is answered by the fork's pid; after the next line it runs, and its status."""
    while order := sys.stdin.readline():
        wait, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os._exit(_child(json.loads(order), wait))
        os.close(wait)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        os.close(go)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


def _child(order: dict[str, object], wait: int) -> int:
    """Wait for the tracer, then be `python -m tests.acceptance.scaled FACTOR FILE --once`."""
    path = str(order["config"])
    os.chdir(os.path.dirname(path))
    out = os.open("service.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(out, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    ctypes.CDLL(None).prctl(*_ANY_TRACER, 0, 0, 0)
    os.read(wait, 1)
    os.close(wait)
    try:
        settings = config.load(path, env=os.environ)
        key = load_key(settings, env=os.environ, cwd=os.getcwd())
        log.configure(settings.log.level, settings.log.format, secrets=[key] if key else [])
        timing = Timing().scaled(float(str(order["factor"])))
        return asyncio.run(run_service(settings, key=key, once=True, timing=timing))
    except BaseException as fault:
        sys.stderr.write(f"ended by {fault!r}\n")
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    main()
