"""SIGHUP on a real terminal: a `kill` is a reload, the terminal's own end a stop."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from stemwatch.service import hangup
from tests.acceptance.harness import KEY, STEMWATCH, Home, Service
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


class Terminal:
    """A pty; `close` ends it, as closing its window does."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()

    def take(self) -> None:
        """In the child, before it becomes the service: a session of its own, on this terminal."""
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a suite under nohup would hand that on
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def close(self) -> None:
        """Ours is the only other descriptor: the kernel hangs it up."""
        for fd in (self.slave, self.master):
            with suppress(OSError):
                os.close(fd)


class OnTerminal(Service):
    """`stemwatch run` in a terminal; its log goes into a file, or nobody could read its end."""

    def __init__(
        self,
        home: Home,
        terminal: Terminal,
        prepare: Callable[[], None],
        stdin: int,
        program: list[str],
    ) -> None:
        self.home = home
        self._log_path = home.root / "service.log"
        self._log = self._log_path.open("wb")
        self.process = subprocess.Popen(  # type: ignore[assignment]
            [*program, "run", "-c", str(home.config)],
            cwd=home.root,
            env=home.env() | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=stdin,
            stdout=terminal.slave,
            stderr=self._log,
            preexec_fn=prepare,
        )


@pytest.fixture
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, job_seconds=0.1) as running:
        yield running


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@contextmanager
def running(
    home: Home,
    terminal: Terminal,
    *,
    first: Callable[[], None] = lambda: None,
    stdin: int = 0,
    program: list[str] = STEMWATCH,
) -> Iterator[OnTerminal]:
    def prepare() -> None:
        terminal.take()
        first()

    with OnTerminal(home, terminal, prepare, stdin or terminal.slave, program) as service:
        yield service


def test_a_kill_reloads_and_the_end_of_the_terminal_drains(
    tmp_path: Path, server: ScenarioServer, terminal: Terminal
) -> None:
    """What may cost is waited for as after SIGTERM, though a shell may tell of the end twice."""
    server.scenario(post=[{"until": "told"}])
    home = Home(tmp_path, server.url)
    with running(home, terminal) as service:
        service.signal(signal.SIGHUP)
        service.wait_for_event("config.reloaded")
        home.configure(server.url, separation={"stems": 4})
        service.signal(signal.SIGHUP)
        assert service.wait_for_event("config.reloaded", count=2)["changed"]
        drop(home.inbox / "song.wav")
        wait_for(lambda: any("finished" in post for post in server.requests("post")))
        terminal.close()
        service.wait_for_event("service.stopping")
        service.signal(signal.SIGHUP)
        server.go_on()
        assert service.process.wait(60) == 0
    assert service.events("service.aborting") == []
    assert home.journal_count("separating") == 1


# It looks once more for its terminal later than life's one second.
LATER = """
import sys
from stemwatch.cli import run
from stemwatch.service import hangup
hangup._AGAIN = 15.0
sys.exit(run(sys.argv[1:]))
"""


def test_a_terminal_that_ends_after_its_signal(tmp_path: Path, server: ScenarioServer) -> None:
    """A window tells its shell first and closes then: a job in the background hears of it once.

    Its standard input leads elsewhere, as such a job's may. Where the machine is too slow to close
    the window within the second, the service gets longer.
    """
    if not _ends_after(hangup._AGAIN, STEMWATCH, Home(tmp_path / "once", server.url)):
        assert _ends_after(15.0, [sys.executable, "-c", LATER], Home(tmp_path / "slow", server.url))


def _ends_after(again: float, program: list[str], home: Home) -> bool:
    """False if the terminal ended too late to be seen at the second look, after `again` seconds."""
    with (
        closing(Terminal()) as terminal,
        open(os.devnull, "rb") as null,
        running(
            home, terminal, first=_as_job_of_a_shell, stdin=null.fileno(), program=program
        ) as service,
    ):
        wait_for(lambda: (home.state / "status.json").exists())
        pid = home.status()["pid"]
        signalled = time.monotonic()
        os.kill(pid, signal.SIGHUP)
        service.wait_for_event("config.reloaded")
        terminal.close()
        if time.monotonic() - signalled >= again:
            with suppress(ProcessLookupError):  # it may have been seen all the same
                os.kill(pid, signal.SIGKILL)
            service.process.wait(60)
            return False
        assert service.process.wait(60) == 0
        assert service.events("service.stopping")
    return True


def _as_job_of_a_shell() -> None:
    """The session's leader stays, unmoved by its terminal's end, and ends with the service."""
    if (service := os.fork()) != 0:
        os.closerange(3, 65536)  # `Popen` waits until nobody holds its pipe
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(service, 0)[1]))


def test_nohup_means_that_it_goes_on(
    tmp_path: Path, server: ScenarioServer, terminal: Terminal
) -> None:
    """Ignored from the start: then it is only ever a reload, also at the end of its terminal."""
    home = Home(tmp_path, server.url)

    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with running(home, terminal, first=nohup) as service:
        terminal.close()
        service.wait_for_event("config.reloaded")
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.done")
        assert service.stop() == 0
