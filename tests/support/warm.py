"""Python commands in forks of one process that has imported stemwatch already.

`popen([sys.executable, "-m", MODULE, ...])` takes the place of `subprocess.Popen` where a test
starts the service or a command: a start costs 10 ms instead of 300. It is a process like any other
(its own pid, signals, descriptors, environment and working directory; it ends as Python ends), but
for what Python reads at its start: a command with other such variables has another warm process.
Tests that are about the start itself, or about what is imported, use `subprocess`.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
WARM = (
    "stemwatch.service.app",
    "stemwatch.inbox.observer",
    "stemwatch.commands.check",
    "stemwatch.commands.retry",
    "stemwatch.commands.run",
    "stemwatch.commands.status",
    "stemwatch.operations.split",
    "stemwatch.ui.standing",
)
_AT_WILL = frozenset({"PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"})
_REQUEST = 1 << 20  # bytes


class Forked:
    """What a test needs of `subprocess.Popen`, for a process that somebody else forked."""

    def __init__(self, args: Sequence[str], pid: int, pidfd: int, status: socket.socket) -> None:
        self.args = list(args)
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = pidfd  # signals reach this process or nobody, whatever has its number later
        self._status = status

    def poll(self) -> int | None:
        """The exit code, or minus the signal's number; None while it runs."""
        return self._await(0)

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        code = self._await(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            try:
                signal.pidfd_send_signal(self._pidfd, number)
            except ProcessLookupError:
                pass

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _await(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                return None
            told = self._status.recv(16)
            if not told:
                raise RuntimeError("the warm process ended")
            self.returncode = os.waitstatus_to_exitcode(int(told))
            self._status.close()
            os.close(self._pidfd)
        return self.returncode


def popen(
    command: Sequence[str],
    *,
    cwd: str | os.PathLike[str],
    env: Mapping[str, str],
    stdout: IO[bytes],
    stderr: IO[bytes],
) -> Forked | subprocess.Popen[bytes]:
    """Start a command with an empty stdin; one of another shape than above in the usual way."""
    if list(command[:2]) != [sys.executable, "-m"]:
        nothing = subprocess.DEVNULL
        return subprocess.Popen(
            command, cwd=cwd, env=env, stdin=nothing, stdout=stdout, stderr=stderr
        )
    server = _server(frozenset(_read_at_start(env).items()))
    request = {"argv": list(command[2:]), "cwd": os.fspath(cwd), "env": dict(env)}
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        descriptors = [stdout.fileno(), stderr.fileno(), its.fileno()]
        socket.send_fds(server, [json.dumps(request).encode()], descriptors)
    answer, (pidfd,), _, _ = socket.recv_fds(mine, 16, 1)
    return Forked(command, int(answer), pidfd, mine)


def run(
    command: Sequence[str],
    *,
    cwd: str | os.PathLike[str],
    env: Mapping[str, str],
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed.

    Raises subprocess.TimeoutExpired, with the last lines of it.
    """
    out, err = (os.fdopen(os.memfd_create(name), "w+b") for name in ("stdout", "stderr"))
    with out, err:
        process = popen(command, cwd=cwd, env=env, stdout=out, stderr=err)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as exc:
            process.kill()
            process.wait()
            exc.add_note("".join(_text(out).splitlines(keepends=True)[-40:]) + _text(err)[-8000:])
            raise
        texts = [_text(file) for file in (out, err)]
    return subprocess.CompletedProcess(list(command), code, *texts)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape").replace("\r\n", "\n")


def _read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that Python looks at before it runs anything."""
    python = {n: v for n, v in env.items() if n.startswith("PYTHON") and n not in _AT_WILL}
    return python | {n: v for n, v in env.items() if n == "LANG" or n.startswith("LC_")}


@functools.cache
def _server(variables: frozenset[tuple[str, str]]) -> socket.socket:
    """A warm process for these; it ends when this process does, or closes the socket."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm", str(its.fileno())],
            cwd=ROOT,
            env=dict(variables) | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
        )

    def end() -> None:
        mine.close()
        process.wait(30)

    atexit.register(end)
    return mine


# -- the warm process ----------------------------------------------------------------------


class _Warm:
    """Forks on request, and tells each fork's end to whoever asked for it."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._forks: dict[int, tuple[int, socket.socket]] = {}  # pidfd -> pid, who asked

    def serve(self) -> list[str]:
        """Returns in each fork, with its arguments; in the warm process itself never."""
        while True:
            ready, _, _ = select.select([self._requests, *self._forks], [], [])
            for one in ready:
                if isinstance(one, int):
                    self._tell_end(one)
                elif (arguments := self._take()) is not None:
                    return arguments

    def _take(self) -> list[str] | None:
        """Fork for one request: its arguments in the fork, None in the warm process."""
        data, descriptors, _, _ = socket.recv_fds(self._requests, _REQUEST, 3)
        if not data:
            os._exit(0)
        request = json.loads(data)
        out, err, asker = descriptors
        pid = os.fork()
        if pid == 0:
            self._become(request, out, err)
            arguments: list[str] = request["argv"]
            return arguments
        os.close(out)
        os.close(err)
        pidfd = os.pidfd_open(pid)
        told = socket.socket(fileno=asker)
        self._forks[pidfd] = pid, told
        try:
            socket.send_fds(told, [str(pid).encode()], [pidfd])
        except OSError:
            pass  # who asked is gone: the fork runs on, as a subprocess would
        return None

    def _become(self, request: dict[str, object], out: int, err: int) -> None:
        """Nothing of the warm process is left but its modules."""
        for _, told in self._forks.values():
            told.detach()  # its object must not close, one day, a descriptor of the service's
        self._requests.detach()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(request["env"])  # type: ignore[call-overload]
        time.tzset()
        os.chdir(str(request["cwd"]))

    def _tell_end(self, pidfd: int) -> None:
        pid, told = self._forks.pop(pidfd)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        with told:
            try:
                told.send(str(status).encode())
            except OSError:
                pass  # nobody waits for it


def main() -> None:
    for module in WARM:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    module, *arguments = _Warm(socket.socket(fileno=int(sys.argv[1]))).serve()
    sys.argv = [module, *arguments]
    # From here on as `python -m MODULE`, to the end of the interpreter.
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
