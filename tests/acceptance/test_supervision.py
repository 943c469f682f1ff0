"""A part of the service that dies as nobody foresaw: never in silence, and nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import KEY, Home, Service
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


@pytest.fixture
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, job_seconds=0.1) as running:
        yield running


def broken(home: Home, part: str, *timing: str) -> Service:
    command = [sys.executable, "-m", "tests.acceptance.broken", part, "0.02", str(home.config)]
    return Service(home, [*command, *timing], KEY)


def test_polling_that_dies_ends_the_service_and_the_next_start_goes_on(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Nobody would ever ask for the jobs that are paid for; its manager starts it again."""
    home = Home(tmp_path, server.url)
    with broken(home, "polls") as service:
        drop(home.inbox / "song.wav")
        assert service.process.wait(60) == 1
        (event,) = service.events("service.failed")
    assert (event["level"], event["part"]) == ("critical", "pool")
    assert "Unforeseen: made by a test" in event["exception"]
    assert server.paid["total"] == 1
    assert home.command("run", "-c", str(home.config), "--once").returncode == 0
    assert list(home.sidecars()) == ["song"]
    assert server.paid["total"] == 1


def test_a_probe_that_dies_is_told_and_made_again(tmp_path: Path, server: ScenarioServer) -> None:
    """Else its pause would be for good: nobody looks whether it is over."""
    server.scenario(post=[{"status": 401}])
    home = Home(tmp_path, server.url)
    with broken(home, "probe", "account_first=0.1", "account_max=0.2") as service:
        drop(home.inbox / "song.wav")
        event = service.wait_for_event("probe.error")
        wait_for(lambda: home.journal_count("done") == 1)
        assert len(service.events("probe.error")) == 1
    assert (event["level"], event["reason"]) == ("error", "auth")
    assert "Unforeseen: made by a test" in event["exception"]
    assert [event["reason"] for event in service.events("service.resumed")] == ["auth"]


def test_a_service_that_fails_ends_though_a_disk_hangs() -> None:
    """Python waits for its threads without end: nobody would start it again."""
    code = """
import asyncio, threading
from stemwatch.service import leave as ending
ending._GRACE = 0.2
async def service():
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    raise ZeroDivisionError
asyncio.run(ending.then_leave(service()))
"""
    ended = subprocess.run([sys.executable, "-c", code], timeout=60, capture_output=True)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_a_split_that_fails_says_so_and_ends_though_a_disk_hangs(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Its pool's part died; Python waited for the thread, and nothing was told."""
    home = Home(tmp_path, server.url)
    drop(tmp_path / "song.wav")
    code = """
import asyncio, sys, threading
from stemwatch.cli import run
from stemwatch.service import leave
from stemwatch.workers.pacing.polls import Polls
leave._GRACE = 0.2
def take_due(polls, now):
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    raise ZeroDivisionError("made by a test")
Polls.take_due = take_due
sys.exit(run(sys.argv[1:]))
"""
    command = [sys.executable, "-c", code, "split", "-c", str(home.config), "song.wav"]
    env = {"PYTHONPATH": str(Path(__file__).parents[2])} | home.env()
    ended = subprocess.run(
        command, cwd=tmp_path, env=env, timeout=60, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.count("ZeroDivisionError: made by a test") == 1
