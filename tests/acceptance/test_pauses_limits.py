"""A 429 holds what it was the answer to, for as long as it says, also over a restart."""

from __future__ import annotations

import math
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.acceptance.harness import SEPARATE, Home
from tests.acceptance.pauses import PATIENT, QUICK, SCALE, pairs, paused, times, wait_until_done
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


@pytest.mark.parametrize("header", ["2", "date+2"])
def test_retry_after_is_never_broken(tmp_path: Path, server: ScenarioServer, header: str) -> None:
    """After a 429 nobody submits before its time is over, and the limit of slots is lowered."""
    server.scenario(post=[{"status": 429, "headers": {"Retry-After": header}}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 3})
    with home.scaled_service(SCALE, "creep=60", PATIENT) as service:
        drop(home.inbox / "first.wav", 0)
        paused(service, "rate_limited")
        for number in range(1, 5):
            drop(home.inbox / f"song{number}.wav", number)
        wait_until_done(service, 5)
        wait_for(lambda: home.status()["slots"]["limit"] == 1)
    posts = server.requests("post")
    over = posts[0]["finished"] + 2.0
    if header != "2":
        over = math.floor(over)  # an HTTP-date has whole seconds
    assert posts[1]["time"] >= over
    assert len(posts) == 6  # no attempt was wasted
    assert server.paid["total"] == 5


@pytest.mark.parametrize("route", ["post", "get"])
def test_a_retry_after_is_kept_though_a_neighbour_is_accepted(
    tmp_path: Path, server: ScenarioServer, route: str
) -> None:
    """What was in flight when the 429 came was let in before: it frees nobody.

    The 429 may be that of another submission, or of a question about a job.
    """
    limited = {"status": 429, "headers": {"Retry-After": "2"}}
    slow = {"until": "told"}
    if route == "post":
        server.scenario(post=[slow, limited])
    else:
        server.scenario(post=[{}, slow], get=[limited])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 3})
    with home.scaled_service(SCALE, "creep=0.01") as service:
        for number in range(2):
            drop(home.inbox / f"song{number}.wav", number)
        paused(service, "rate_limited")
        told = time.time()
        server.go_on()
        for number in range(2, 5):
            drop(home.inbox / f"song{number}.wav", number)
        wait_until_done(service, 5)
    refused = next(entry for entry in server.requests(route) if entry["status"] == 429)
    over = refused.get("finished", refused["time"]) + 2.0
    posts = server.requests("post")
    accepted = [post["finished"] for post in posts if post["status"] in {201, 202}]
    assert min(accepted) < told  # taken by the server, and answered within its time
    assert [post["time"] for post in posts if told < post["time"] < over] == []
    assert server.paid["total"] == 5


def test_a_429_without_retry_after_backs_off_further_each_time(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Four in a row wait about twice as long each; the limit falls to one and creeps back."""
    server.scenario(post=[{"status": 429, "times": 4}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 3})
    with home.scaled_service(0.1, "creep=0.5") as service:
        drop(home.inbox / "song.wav")
        wait_until_done(service)
        gaps = [b - a for a, b in pairs(times(server.requests("post")))]
        assert len(gaps) == 4
        # 2, 4, 8, 16 s with jitter, scaled
        assert all(gap >= least for gap, least in zip(gaps, (0.1, 0.2, 0.4, 0.8), strict=True))
        wait_for(lambda: home.status()["slots"]["limit"] == 3)
    assert server.paid["total"] == 1


def test_a_429_on_a_poll_holds_every_poll(tmp_path: Path, server: ScenarioServer) -> None:
    """It is asking that is too much then: no job is asked for before the time is over.

    But the question about another job may be on its way when the 429 comes.
    """
    server.scenario(
        get=[{"status": 429, "headers": {"Retry-After": "2"}}],
        jobs=[{"seconds": 3600}] * 4,
    )
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 4})
    with home.scaled_service(SCALE) as service:
        for number in range(4):
            drop(home.inbox / f"song{number}.wav", number)
        told = datetime.fromisoformat(paused(service, "rate_limited")["timestamp"]).timestamp()
        refused = next(at for at in server.requests("get") if at["status"] == 429)
        over = refused["time"] + 2.0
        wait_for(lambda: times(server.requests("get"))[-1] >= over and server.paid["total"] == 4)
        server.finish()
        wait_until_done(service, 4)
    under_way = [at["path"] for at in server.requests("get") if told < at["time"] < over]
    assert len({refused["path"], *under_way}) == 1 + len(under_way)  # another job's, and once
    assert server.paid["total"] == 4


@SEPARATE
@pytest.mark.parametrize("route", ["post", "get"])
def test_a_restart_is_no_way_round_a_retry_after(
    tmp_path: Path, server: ScenarioServer, route: str
) -> None:
    """Killed while the server's time runs, and started again: nobody asks before it is over."""
    server.scenario(**{route: [{"status": 429, "headers": {"Retry-After": "4"}}]})
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 3})
    with home.scaled_service(SCALE) as service:
        drop(home.inbox / "first.wav", 0)
        wait_for(lambda: service.events("job.waits"), what=f"a wait in\n{service.text()}")
        service.kill()
    drop(home.inbox / "another.wav", 1)
    with home.scaled_service(SCALE) as service:
        wait_until_done(service, 2)
    asked = server.requests(route)
    assert asked[1]["time"] >= asked[0]["time"] + 4.0
    assert server.paid["total"] == 2


def test_a_storage_that_asks_for_time_holds_up_its_own_songs_only(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Its 429 says nothing of what the API takes: songs go on being submitted, and it is spared."""
    busy = {"download": [{"status": 429, "times": 5}]}
    server.scenario(by_name={"busy.wav": busy})
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with home.scaled_service(0.05) as service:
        drop(home.inbox / "busy.wav", 0)
        wait_for(lambda: len(service.events("job.waits")) >= 2)
        drop(home.inbox / "song.wav", 1)
        wait_until_done(service, 2)
        assert service.events("service.paused") == []
        waits = [event for event in service.events("job.waits") if event["name"] == "busy.wav"]
    assert [event["code"] for event in waits] == ["storage_busy"] * 5
    assert waits[-1]["seconds"] >= 0.7 > waits[0]["seconds"]  # 16 to 32 s, scaled, after 1 to 2
    assert home.reasons() == {}
