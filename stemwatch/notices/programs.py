"""Runs another program in its own process group, with a time limit, and keeps its last output.

The program may hang, fork, ignore signals or write without end. When its time is over, the whole
group is killed. Only the end of its output is kept, and reading is slowed down to save CPU.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from stemwatch.processes.apart import start

# What the service was given for itself: its key, and its line to the service manager.
_OURS = frozenset({"STEMSPLIT_API_KEY", "STEMWATCH_SERVE_KEY", "CREDENTIALS_DIRECTORY"})
_OURS |= {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"}
_KEPT = 32768  # bytes of the output's end
_RATE = 20e6  # bytes a second that are read
_GRACE = 1.0  # seconds between SIGTERM and SIGKILL


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. `code`: its exit code, or minus a signal's number; None: time over."""

    code: int | None
    output: str  # the end of it, standard output and error together

    @property
    def last_line(self) -> str:
        """The last line of the output that is not blank; "" if there is none."""
        return next((line for line in reversed(self.output.splitlines()) if line.strip()), "")


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """`env` for a program that is none of ours: without the service's secrets."""
    return {name: value for name, value in env.items() if name not in _OURS}


async def run(
    command: Sequence[str], given: bytes, *, env: Mapping[str, str], seconds: float
) -> Ended:
    """Run `command` in `/` with `given` as its standard input, for `seconds` at most.

    Returns when it has ended and nobody holds its output any more: processes that it left in the
    background share its time. One that can't be started: see `apart.start`.
    """
    tail = _Tail()
    # A file, not a pipe: nobody has to read it, and nothing waits for that.
    stdin = os.memfd_create("stemwatch-event")
    try:
        os.write(stdin, given)
        os.lseek(stdin, 0, os.SEEK_SET)
        output = await tail.open()
        try:
            process = await start(
                command, folder="/", stdin=stdin, stdout=output, stderr=output, env=env
            )
        finally:
            os.close(output)
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
                await tail.closed.wait()
            return Ended(process.returncode, tail.text)
        except TimeoutError:
            await _end(process, tail)
            return Ended(None, tail.text)
        finally:
            # Also when we are cancelled. Only while a process of the group may live: the number of
            # a group that has ended may be given to another one.
            if process.returncode is None or not tail.closed.is_set():
                _signal(process, signal.SIGKILL)
                await _over(process)
    finally:
        os.close(stdin)
        tail.close()


async def _end(process: asyncio.subprocess.Process, tail: _Tail) -> None:
    """Ask the whole group to end; whoever doesn't is killed by the caller."""
    _signal(process, signal.SIGTERM)
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await process.wait()
            await tail.closed.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:  # it has not begun, and has no group yet: a share hangs
            process.send_signal(number)


async def _over(process: asyncio.subprocess.Process) -> None:
    """Wait briefly for a killed process: only a dead disk can hold it, and that for too long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE):
            await process.wait()


class _Tail(asyncio.Protocol):
    """The end of what comes through a pipe. `closed` once nobody can write to it any more."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self._data = b""
        self._transport: asyncio.ReadTransport | None = None

    async def open(self) -> int:
        """The descriptor to write to; the caller closes it."""
        read, write = os.pipe()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.connect_read_pipe(
            lambda: self, os.fdopen(read, "rb", buffering=0)
        )
        return write

    def data_received(self, data: bytes) -> None:
        self._data = (self._data + data)[-_KEPT:]
        if self._transport is not None:  # it is, once `open` has returned
            self._transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(len(data) / _RATE, self._transport.resume_reading)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.closed.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")
