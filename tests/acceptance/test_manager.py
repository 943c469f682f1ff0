"""What the service manager is told and asked, on a real datagram socket, by the real service."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest

from tests.acceptance.harness import KEY, Home, Service
from tests.support.scenario.caller import make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


class Manager:
    """Listens where systemd would; `words` are the datagrams heard so far.

    It reads all the time, as systemd does: the kernel keeps ten, and what finds no room is lost.
    """

    def __init__(self, address: Path) -> None:
        self.address = address
        self.words: list[str] = []
        self._arrived: SimpleQueue[str] = SimpleQueue()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while word := self._socket.recv(4096):
            self._arrived.put(word.decode())

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._reader.join()
        self._socket.close()

    def hear(self, wanted: Callable[[str], object]) -> str:
        """The next datagram that is `wanted`; the others are kept in `words`."""
        until = time.monotonic() + 60.0
        while (left := until - time.monotonic()) > 0.0:
            with suppress(Empty):
                self.words.append(self._arrived.get(timeout=left))
                if wanted(self.words[-1]):
                    return self.words[-1]
        raise AssertionError(f"not heard among {self.words}")

    def hear_status(self, pattern: str) -> str:
        return self.hear(lambda word: re.fullmatch(f"STATUS=.*{pattern}.*", word))


@pytest.fixture
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, job_seconds=0.2) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, server: ScenarioServer) -> Home:
    return Home(tmp_path, server.url)


@pytest.fixture
def manager(home: Home) -> Iterator[Manager]:
    manager = Manager(home.root / "notify")
    home.extra_env = {"NOTIFY_SOCKET": str(manager.address), "WATCHDOG_USEC": "400000"}
    with closing(manager):
        yield manager


def hangup(service: Service) -> None:
    """What `systemctl reload` does."""
    service.signal(signal.SIGHUP)


def test_told_of_start_life_work_and_end(home: Home, manager: Manager) -> None:
    """READY first, once; WATCHDOG while it goes on; one line on the work; STOPPING last."""
    with home.scaled_service(0.1) as service:
        manager.hear(lambda word: word == "READY=1")
        assert manager.words == ["READY=1"]
        manager.hear(lambda word: word == "WATCHDOG=1")
        make_song(home.inbox / "song.wav", seconds=5)
        (home.inbox / "broken.mp3").write_bytes(b"no song at all" * 999)
        manager.hear_status("0 separating, 0 waiting, 1 done today, 1 in quarantine")
        manager.hear(lambda word: word == "WATCHDOG=1")
        home.inbox.rename(home.root / "away")  # at once: a rescan may be writing there
        manager.hear_status("1 in quarantine; paused: .* is not there")
        service.stop()
    manager.hear(lambda word: word == "STOPPING=1")
    assert manager.words.count("READY=1") == 1
    assert not any(word.startswith("EXTEND") for word in manager.words)


def test_a_stop_asks_for_time_while_an_answer_may_cost(
    home: Home, server: ScenarioServer, manager: Manager
) -> None:
    """All bytes are sent, the answer is late: more time, the reason, and still alive meanwhile."""
    server.scenario(post=[{"until": "told"}])
    with home.service() as service:
        make_song(home.inbox / "song.wav", seconds=5)
        wait_for(lambda: any("finished" in post for post in server.requests("post")))
        service.signal(signal.SIGTERM)
        manager.hear(lambda word: word == "STOPPING=1")
        assert (
            manager.hear(lambda word: word.startswith("EXTEND")) == "EXTEND_TIMEOUT_USEC=20000000"
        )
        manager.hear_status("stopping; waits for the answer for 1 song already uploaded")
        manager.hear(lambda word: word == "WATCHDOG=1")
        server.go_on()
        assert service.process.wait(60) == 0
    assert home.journal_count("separating") == 1


def test_a_reload_takes_effect_without_a_restart(
    home: Home, server: ScenarioServer, manager: Manager
) -> None:
    """Names, presets and pace change under way; what needs a restart is named and stays."""
    other = home.root / "other"
    home.configure(server.url, watch={"ignore": ["*.mp3", "later*"]})
    with home.service() as service:
        manager.hear(lambda word: word == "READY=1")
        make_song(home.inbox / "later.wav", seconds=5)
        wait_for(lambda: home.status()["watcher"]["scans"] >= 2)
        before = time.monotonic_ns() // 1000
        home.configure(
            server.url,
            watch={"ignore": [], "rescan_seconds": 0.5},
            separation={"stems": 4, "format": "flac"},
            api={"max_concurrent": 7},
            folders={"archive": str(other)},
            log={"level": "warning", "format": "json"},
        )
        hangup(service)
        told = manager.hear(lambda word: word.startswith("RELOADING=1\nMONOTONIC_USEC="))
        assert before <= int(told.rpartition("=")[2]) <= time.monotonic_ns() // 1000
        manager.hear(lambda word: word == "READY=1")
        manager.hear_status("folders.archive takes effect at a restart")
        wait_for(lambda: home.sidecars())
        (sidecar,) = home.sidecars().values()
        assert sidecar["separation"]["stems"] == 4
        assert sidecar["separation"]["format"] == "flac"
        wait_for(lambda: (home.archive / "later.wav").exists())
        assert home.status()["slots"]["limit"] == 7
        assert service.wait_for_event("config.needs_restart")["keys"] == ["folders.archive"]
        assert not other.exists()
        assert service.events("job.done") == []  # the log's own level has changed too


def test_a_faulty_configuration_is_reported_and_the_old_one_stays(
    home: Home, manager: Manager
) -> None:
    """Said in the log and the status line until it is mended; songs go on meanwhile."""
    good = home.config.read_text()
    with home.scaled_service(0.1) as service:
        manager.hear(lambda word: word == "READY=1")
        home.config.write_text(f"{good}\nseperation: {{stems: 4}}\nbudget: {{minutes_per_day: no}}")
        hangup(service)
        manager.hear(lambda word: word == "READY=1")
        manager.hear_status("the new configuration has 2 faults .see the log.: the old one stays")
        event = service.wait_for_event("config.faulty")
        assert "did you mean separation?" in " ".join(event["faults"])
        make_song(home.inbox / "song.wav", seconds=5)
        manager.hear_status("1 done today; the new configuration has 2 faults")
        home.config.write_text(good)
        hangup(service)
        assert manager.hear_status("1 done today").endswith("1 done today")
    (sidecar,) = home.sidecars().values()
    assert sidecar["separation"]["stems"] == 2
