"""Stopping, and doing nothing: what is waited for, what is not, and what an idle service costs."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.harness import EITHER, KEY, Home, Service
from tests.support.scenario.caller import make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

# Seconds; what is waited for would take 30 at the least, or for ever.
AT_ONCE = 20.0
BOTH = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@pytest.fixture
def server(wire: str) -> Iterator[ScenarioServer]:
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.2, receive_buffer=65_536) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, server: ScenarioServer) -> Home:
    return Home(tmp_path, server.url)


def journaled(home: Home) -> list[tuple[Any, ...]]:
    """(state, remote id) of every job."""
    return home.rows("SELECT state, remote_id FROM jobs ORDER BY id")


def stopped(
    service: Service,
    number: int = signal.SIGTERM,
    *,
    meanwhile: Callable[[], None] = lambda: None,
) -> float:
    """Send the signal and wait; returns the seconds it took. The exit must be clean."""
    started = time.monotonic()
    service.signal(number)
    service.wait_for_event("service.stopping")
    meanwhile()
    assert service.process.wait(60) == 0
    assert "Traceback" not in service.text()
    return time.monotonic() - started


@BOTH
def test_a_submission_that_may_cost_is_waited_for(
    home: Home, server: ScenarioServer, number: int
) -> None:
    """All bytes are sent and the server takes its time: its answer is in the journal at the end."""
    server.scenario(post=[{"until": "told"}])
    with home.service() as service:
        make_song(home.inbox / "song.wav", seconds=5)
        wait_for(lambda: any("finished" in post for post in server.requests("post")))
        assert journaled(home) == [("submitting", None)]
        stopped(service, number, meanwhile=server.go_on)
    assert journaled(home) == [("separating", server.paid["jobs"][0]["id"])]
    assert len(server.requests("post")) == 1


def test_a_refusal_that_is_waited_for_is_known_as_one(home: Home, server: ScenarioServer) -> None:
    """The drain waits until a refusal is in the journal, not only until it arrived: nothing is
    left that looks as if it had been charged."""
    server.scenario(post=[{"until": "told", "status": 415}])
    with home.service() as service:
        make_song(home.inbox / "song.wav", seconds=5)
        wait_for(lambda: any("finished" in post for post in server.requests("post")))
        stopped(service, meanwhile=server.go_on)
    assert journaled(home) == [("quarantined", None)]
    (reason,) = service.events("job.quarantined")
    assert reason["code"] == "unsupported"


@BOTH
def test_an_upload_without_its_end_is_aborted_at_once(
    home: Home, server: ScenarioServer, number: int
) -> None:
    """The server reads no further and stalls: nothing was accepted, so nothing is waited for."""
    home.configure(server.url, prepare={"upload": "original"})  # a tone is tiny as FLAC
    server.scenario(**{server.upload_route: [{"hang": "head"}]})
    with home.service() as service:
        make_song(home.inbox / "song.wav", seconds=60)  # more than the socket's buffers take
        wait_for(lambda: server.requests(server.upload_route))
        assert stopped(service, number) < AT_ONCE
    assert journaled(home) == [("queued", None)]
    assert server.paid["total"] == 0
    assert home.waiting() == ["song.wav"]


def test_an_upload_that_waits_for_a_slot_is_aborted_at_once(
    home: Home, server: ScenarioServer
) -> None:
    """Sent but for its last bytes, and no slot free: it costs nothing, and is sent again later."""
    home.configure(server.url, api={"max_concurrent": 1})
    server.scenario(jobs=[{"plan": "never"}])
    with home.service() as service:
        make_song(home.inbox / "one.wav", seconds=5, name="one")
        wait_for(lambda: server.paid["total"] == 1)
        make_song(home.inbox / "two.wav", seconds=5, name="two")
        service.wait_for_event("job.queued", count=2)
        assert stopped(service) < AT_ONCE
    assert journaled(home) == [("separating", server.paid["jobs"][0]["id"]), ("queued", None)]
    assert server.paid["total"] == 1


@pytest.mark.parametrize(
    ("scenario", "route", "state"),
    [
        ({"get": [{"hang": "head"}]}, "get", "separating"),
        ({"download": [{"drip": 1.0}]}, "download", "separated"),
    ],
)
def test_polls_and_downloads_stop_at_once(
    home: Home, server: ScenarioServer, scenario: dict[str, object], route: str, state: str
) -> None:
    """They cost nothing to ask again: a slow server can't hold up the end."""
    server.scenario(**scenario)
    with home.service() as service:
        make_song(home.inbox / "song.wav", seconds=5)
        wait_for(lambda: server.requests(route))
        assert stopped(service) < AT_ONCE
    assert [row[0] for row in journaled(home)] == [state]
    assert home.sidecars() == {}
    server.scenario(get=[], download=[])
    assert home.command("run", "-c", str(home.config), "--once").returncode == 0
    assert len(home.sidecars()) == 1
    assert server.paid["total"] == 1


@EITHER
@BOTH
def test_once_is_not_done_when_it_is_stopped(
    home: Home, server: ScenarioServer, number: int
) -> None:
    """Exit 1 with what is left, whether it came into the journal or not: no script goes on then."""
    server.scenario(jobs=[{"plan": "never"}])
    make_song(home.inbox / "song.wav", seconds=5)
    with home.service("--once") as service:
        wait_for(lambda: home.journal_count("separating") == 1)
        service.signal(number)
        assert service.process.wait(60) == 1
    assert service.events("service.unfinished")[0]["waiting"] == 1
    home.configure(server.url, state_dir="other", watch={"settle_seconds": 600})
    with home.service("--once") as service:
        service.signal(number)
        assert service.process.wait(60) == 1
    (left,) = service.events("service.unfinished")
    assert (left["waiting"], "before all of the inbox" in left["message"]) == (0, True)


@EITHER
def test_what_is_found_behind_the_last_song_does_not_spoil_once(
    home: Home, server: ScenarioServer
) -> None:
    """All was worked off: a file that a scan meets before the exit is the next run's, or on its way
    to the archive. It made the exit code 1 now and then."""
    make_song(home.inbox / "song.wav", seconds=5)
    late = make_song(home.root / "late.wav", seconds=5, name="late")
    command = [sys.executable, "-m", "tests.acceptance.overtaken", str(home.config), str(late)]
    with Service(home, command, KEY) as service:
        assert service.process.wait(60) == 0
    assert list(home.sidecars()) == ["song"]
    assert home.waiting() == ["late.wav"]
    assert server.paid["total"] == 1


def test_a_second_signal_stops_now(home: Home, server: ScenarioServer) -> None:
    """The answer never comes; the second signal gives it up, the next start tells a person."""
    server.scenario(post=[{"hang": "end", "accept": True}])
    with home.service() as service:
        make_song(home.inbox / "song.wav", seconds=5)
        wait_for(lambda: any("finished" in post for post in server.requests("post")))
        service.signal(signal.SIGTERM)
        service.wait_for_event("service.stopping")
        assert service.process.poll() is None
        assert stopped(service, signal.SIGINT) < AT_ONCE
        assert service.events("service.aborting")
    assert journaled(home) == [("submitting", None)]
    again = home.command("run", "-c", str(home.config), "--once")
    if server.wire == "presigned":  # ... or asks the server's list
        assert (again.returncode, list(home.sidecars())) == (0, ["song"])
    else:
        assert again.returncode == 3
        assert home.reasons()["song.wav"]["code"] == "submission_unconfirmed"
    assert len(server.requests("post")) == 1


def test_an_idle_service_costs_nothing_between_rescans(home: Home, server: ScenarioServer) -> None:
    """Watched for stretches of four seconds: no CPU to speak of, about one wake-up a second."""
    home.configure(server.url, watch={"rescan_seconds": 3600}, log={"level": "info"})
    with home.service() as service:
        make_song(home.inbox / "song.wav", seconds=5)
        service.wait_for_event("job.delivered")
        wait_for(lambda: home.waiting() == [])
        process = psutil.Process(service.process.pid)
        wait_for(lambda: _calm(process), every=0.5, timeout=20, what="the work to settle")
        # A late event (a connection that the server closes) may fall into a stretch, not into all.
        stretches: list[tuple[float, float]] = []
        while len(stretches) < 5:
            wakes, cpu, seconds = _idle(process, 4.0)
            stretches.append((wakes / seconds, cpu / seconds))
            if wakes / seconds <= 1.5 and cpu / seconds <= 0.01:
                break
    assert stretches[-1][0] <= 1.5, f"wake-ups and CPU a second: {stretches}"
    assert stretches[-1][1] <= 0.01, f"wake-ups and CPU a second: {stretches}"


def _wakes(process: psutil.Process) -> int:
    """Voluntary context switches of all its threads: each is one sleep that ended."""
    total = 0
    for thread in process.threads():
        text = Path(f"/proc/{process.pid}/task/{thread.id}/status").read_text()
        total += int(text.split("voluntary_ctxt_switches:")[1].split()[0])
    return total


def _idle(process: psutil.Process, seconds: float) -> tuple[int, float, float]:
    """(wake-ups, CPU seconds, seconds) of one stretch: here measuring time is the point."""
    wakes, cpu, started = _wakes(process), sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - started
    return _wakes(process) - wakes, sum(process.cpu_times()[:2]) - cpu, took


def _calm(process: psutil.Process) -> bool:
    wakes, _, _ = _idle(process, 0.5)
    return wakes <= 2
