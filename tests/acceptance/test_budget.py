"""The owner's money: what is used up holds submitting, touches no file, and counts every minute."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from stemwatch.workers.pacing.budget import next_month
from tests.acceptance.harness import Home, Service
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

QUICK = {"settle_seconds": 0.05}  # the songs are written in one go


def booked(home: Home) -> list[tuple[Any, ...]]:
    """(minutes, price) of each booking in the journal."""
    return home.rows("SELECT minutes, price FROM spend ORDER BY at")


def scanned_again(service: Service) -> None:
    """Until whatever could be done has been: the pool had more than one turn since."""
    drop(service.home.inbox / "again.wav", 5, seconds=150)
    before = len(service.events("job.queued"))
    wait_for(lambda: len(service.events("job.queued")) > before)


def test_a_song_whose_earlier_stems_are_gone_is_held_before_its_upload(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The journal takes them for there, which is free: it was uploaded again and again."""
    home = Home(tmp_path, server.url, watch=QUICK, budget={"minutes_per_day": 35 / 60})
    drop(home.inbox / "first.wav", 1, seconds=30)
    assert home.command("run", "--once").returncode == 0
    shutil.rmtree(home.outbox / "first")  # moved into somebody's library
    uploads = len(server.requests("post")) + len(server.requests("put"))
    drop(home.inbox / "again.wav", 1, seconds=30)
    assert home.command("run", "--once").returncode == 1
    assert home.waiting() == ["again.wav"]
    assert len(server.requests("post")) + len(server.requests("put")) == uploads
    home.configure(server.url, watch=QUICK, budget={"minutes_per_day": 65 / 60})
    assert home.command("run", "--once").returncode == 0
    assert list(home.sidecars()) == ["again"]
    assert server.paid["total"] == 2


def test_what_does_not_fit_waits_and_a_shorter_song_goes(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Over the limit a file stays in the inbox; a shorter one that fits goes, each is booked."""
    budget = {"minutes_per_month": 50 / 60, "price_per_minute": 0.6}
    home = Home(tmp_path, watch=QUICK, base_url=server.url, budget=budget)
    with home.service() as service:
        drop(home.inbox / "first.wav", 1, seconds=30)
        service.wait_for_event("job.done")
        drop(home.inbox / "long.wav", 2, seconds=25)
        service.wait_for_event("job.queued", count=2)
        drop(home.inbox / "short.wav", 3, seconds=15)
        service.wait_for_event("job.done", count=2)
        scanned_again(service)
        assert home.waiting() == ["again.wav", "long.wav"]
        assert home.reasons() == {}
    assert sorted(home.sidecars()) == ["first", "short"]
    assert server.paid["total"] == len(server.requests("post")) == 2
    assert booked(home) == [pytest.approx((0.5, 0.3)), pytest.approx((0.25, 0.15))]
    status = home.command("status")
    assert status.returncode == 0, status.stderr
    # a restart remembers what was spent; a higher limit lets the file go
    with home.service() as service:
        scanned = len(service.events("job.queued"))
        drop(home.inbox / "more.wav", 4, seconds=20)
        wait_for(lambda: len(service.events("job.queued")) > scanned)
        assert len(server.requests("post")) == 2
    home.configure(server.url, watch=QUICK, budget={**budget, "minutes_per_month": 95 / 60})
    with home.service() as service:
        service.wait_for_event("job.done", count=2)
        assert sorted(home.sidecars()) == ["first", "long", "more", "short"]
        assert home.waiting() == ["again.wav"]
    assert server.paid["total"] == 4


def test_once_names_the_limit_that_holds_songs_back(tmp_path: Path, server: ScenarioServer) -> None:
    """Exit 1, with the key that would be raised and until when it holds; what fits is done."""
    home = Home(tmp_path, server.url, watch=QUICK, budget={"minutes_per_month": 20 / 60})
    drop(home.inbox / "long.wav", 1, seconds=30)
    drop(home.inbox / "longer.wav", 2, seconds=35)
    drop(home.inbox / "short.wav", 3, seconds=15)
    with home.service("--once") as service:
        assert service.process.wait(60) == 1
    assert sorted(home.sidecars()) == ["short"]
    (held,) = service.events("service.held")
    until = re.escape(time.strftime("%Y-%m-01", time.localtime(next_month(time.time()))))
    told = rf"budget.minutes_per_month leaves 0.08 minutes until {until} 00:00, too few for 2 songs"
    assert re.match(told, held["message"]), held
    assert held["hint"].startswith("Raise budget.minutes_per_month")
    assert service.events("service.unfinished")[0]["waiting"] == 2


def test_many_songs_at_once_never_exceed_the_limit(tmp_path: Path, server: ScenarioServer) -> None:
    """Intents are refused by the journal's own transaction, however many uploads run together."""
    limit = {"minutes_per_day": 17.5 / 60}
    home = Home(tmp_path, server.url, watch=QUICK, budget=limit, api={"max_concurrent": 8})
    with home.service() as service:
        for number in range(8):
            drop(home.inbox / f"song{number}.wav", number, seconds=5)
        service.wait_for_event("job.queued", count=8)
        service.wait_for_event("job.done", count=3)
        scanned_again(service)
        assert len(home.waiting()) == 5 + 1
    assert server.paid["total"] == 3
    assert sum(minutes for minutes, _ in booked(home)) <= 17.5 / 60


def test_a_refused_submission_costs_nothing(tmp_path: Path, server: ScenarioServer) -> None:
    """422 and 500 give their minutes back, so that the next song fits."""
    server.scenario(post=[{"status": 422}, {"status": 500}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, budget={"minutes_per_day": 7.5 / 60})
    with home.scaled_service(0.01) as service:
        drop(home.inbox / "refused.wav", 1, seconds=5)
        wait_for(lambda: list(home.reasons()) == ["refused.wav"])
        assert booked(home) == []
        drop(home.inbox / "song.wav", 2, seconds=5)
        service.wait_for_event("job.done")
    assert len(booked(home)) == server.paid["total"] == 1


def test_what_this_machine_separates_costs_nothing(tmp_path: Path) -> None:
    """With `base_url: local` no limit holds anything back and no minute is booked."""
    home = Home(tmp_path, watch=QUICK, base_url="local", budget={"minutes_per_day": 0.01})
    drop(home.inbox / "song.wav", 1, seconds=3)
    ended = home.command("run", "--once", key=None, timeout=110)
    assert ended.returncode == 0, ended.stderr
    (sidecar,) = home.sidecars().values()
    assert sidecar["separation"]["cost_minutes"] == 0
    assert {minutes for minutes, _ in booked(home)} == {0.0}
