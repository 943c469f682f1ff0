"""Uploads ahead of free slots, as the server sees them; nothing here is a matter of the machine."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import SEPARATE, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

SONGS = 10
QUICK = 0.02
AHEAD = ("lookahead=30", "hold_max=30")  # as soon as one job has told how long they take


def _drop_all(home: Home, count: int = SONGS) -> None:
    for number in range(count):
        drop(home.inbox / f"song {number}.wav", number)


def _api_calls_a_job(server: ScenarioServer) -> float:
    calls = sum(len(server.requests(route)) for route in ("ticket", "post", "get"))
    return calls / int(server.paid["total"])


def test_a_known_limit_is_never_exceeded(tmp_path: Path, wire: str) -> None:
    """Every job is accepted at its first try: no 429, one upload each, few requests."""
    with ScenarioServer(wire=wire, job_seconds=0.4, concurrency=3, strict="end") as server:
        home = Home(tmp_path, server.url, api={"max_concurrent": 3})
        with home.scaled_service(QUICK, *AHEAD) as service:
            _drop_all(home)
            service.wait_for_event("job.done", count=SONGS)
        assert Counter(e["status"] for e in server.log if e["route"] != "download").keys() <= {
            200,
            201,
            202,
        }
        assert len(server.requests(server.upload_route)) == SONGS
        assert server.paid["total"] == SONGS
        assert len(server.requests("get")) <= 5 * SONGS  # at a fixed beat, 7 to 8 a job
        assert _api_calls_a_job(server) <= 7
        assert _most_at_once(server) <= 6


def test_the_next_song_is_sent_while_its_slot_is_still_taken(tmp_path: Path, wire: str) -> None:
    """Seen by the server: it has the song before the job before it ends, its end only after."""
    with ScenarioServer(wire=wire, job_seconds=0.5, concurrency=1, strict="end") as server:
        server.scenario(jobs=[{"seconds": 0.5}, {"seconds": 3600}])
        home = Home(tmp_path, server.url, api={"max_concurrent": 1})
        with home.scaled_service(QUICK, *AHEAD) as service:
            _drop_all(home, 3)
            # How long jobs take is known after the first: with the third song, at the latest.
            wait_for(lambda: len(server.requests(server.upload_route)) == 3)
            assert server.paid["total"] == 2
            ends = time.time()
            server.finish()
            service.wait_for_event("job.done", count=3)
        assert server.paid["jobs"][2]["accepted"] >= ends


def test_what_throttles_polls_says_nothing_of_slots(tmp_path: Path, wire: str) -> None:
    """A 429 to a question lowers no concurrency; one to a submission does."""
    refused = {"status": 429, "headers": {"Retry-After": "0"}}
    with ScenarioServer(wire=wire, job_seconds=0.3) as server:
        server.scenario(get=[refused] * 3)
        home = Home(tmp_path, server.url, api={"max_concurrent": 4})
        with home.scaled_service(QUICK, "creep=3600", "rate_limited_max=0.1") as service:
            _drop_all(home, 1)
            service.wait_for_event("job.done", count=1)
            assert [e["status"] for e in server.requests("get")].count(429) == 3
            assert home.status()["slots"]["limit"] == 4
            server.scenario(post=[refused])
            drop(home.inbox / "another.wav", 99)
            service.wait_for_event("job.done", count=2)
            assert wait_for(lambda: home.status()["slots"]["limit"] < 4)


def _most_at_once(server: ScenarioServer) -> int:
    """Uploads under way at once: begun, and not yet accepted or stored."""
    moments = []
    for entry in server.requests(server.upload_route):
        moments += [(entry["time"], 1), (entry.get("finished", entry["time"]), -1)]
    now = most = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


@SEPARATE
def test_nothing_is_sent_ahead_after_a_refusal_at_the_head(tmp_path: Path, wire: str) -> None:
    """Its slots are taken for no fewer, and from then on each upload waits for a free one."""
    with ScenarioServer(wire=wire, job_seconds=0.5, concurrency=2, strict="head") as server:
        home = Home(tmp_path, server.url, api={"max_concurrent": 2})
        with home.scaled_service(QUICK, *AHEAD, "ahead_again=3600") as service:
            _drop_all(home, 8)
            service.wait_for_event("job.done", count=8)
        refused = [e for e in server.requests("post") if e["status"] == 429]
        # Those that were on their way when the first was refused, and none after them.
        assert 1 <= len(refused) <= 2
        assert server.paid["total"] == 8
        assert home.status()["slots"]["limit"] == 2


@SEPARATE
@pytest.mark.parametrize(
    "timed_out",
    [{"at": "head", "status": 408, "delay": 0.2}, {"at": "head", "status": 503, "delay": 1.2}],
    ids=lambda step: str(step["status"]),
)
def test_an_upload_that_the_server_does_not_wait_for_begins_again(
    tmp_path: Path, wire: str, timed_out: dict[str, Any]
) -> None:
    """A proxy closes a body that stands still: it is sent again later, and paid once.

    In which words it does so, tests/integration/test_stemsplit_submit.py tries.
    """
    with ScenarioServer(wire=wire, job_seconds=1.0 + timed_out["delay"]) as server:
        home = Home(tmp_path, server.url, api={"max_concurrent": 1})
        server.scenario(post=[{}, {}, timed_out])  # from the third on it is known when to come
        with home.scaled_service(QUICK, *AHEAD) as service:
            _drop_all(home, 3)
            service.wait_for_event("job.done", count=3)
            waits = service.events("job.waits")
        assert [event["code"] for event in waits] == ["not_waited"]
        assert server.paid["total"] == 3
        assert set(server.paid["by_sha256"].values()) == {1}
        assert service.events("service.paused") == []
        assert wait_for(lambda: home.waiting() == [])
