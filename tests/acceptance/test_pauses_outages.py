"""Outages of the API and of its storage: few requests and uploads meanwhile, and no lost song."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemwatch.stemsplit.separate import KEY_PROBE
from tests.acceptance.harness import KEY, SEPARATE, Home
from tests.acceptance.pauses import (
    QUICK,
    SCALE,
    assert_tries_become_rare,
    pairs,
    paused,
    resumed,
    times,
    wait_until_done,
)
from tests.acceptance.songs import drop
from tests.support.ports import free_port
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


def test_submissions_that_all_fail_do_not_upload_the_whole_queue(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """POST answers 500 while polls are well: one song tries again, not fifteen."""
    server.scenario(post=[{"status": 500, "times": "ever"}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with home.scaled_service(SCALE) as service:
        for number in range(15):
            drop(home.inbox / f"song{number}.wav", number)
        paused(service, "server_error")
        # Five in a row, those under way and being prepared, and the first tries.
        assert_tries_become_rare(server, "post", 5 + 3 + 3 + 3)
        assert len(home.waiting()) == 15
        server.scenario(post=[])
        wait_until_done(service, 15)
    assert server.paid["total"] == 15
    assert home.reasons() == {}


@SEPARATE  # what an outage costs is shown on both below
def test_an_outage_of_ten_minutes_sees_at_most_one_request_in_30_s(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """With songs waiting, separating and to be fetched; then all goes on without a restart."""
    down = [{"reset": "head", "times": "ever"}]
    # Held until the outage begins: tried again before, they would be delivered before it.
    unfetched = {"download": [{"status": 500, "times": 2, "until": "told"}]}
    server.scenario(
        jobs=[{"seconds": 3600}] * 2,
        by_name={f"fetch{n}.wav": unfetched for n in range(2)},
    )
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 6})
    with home.scaled_service(SCALE / 2, "download_stall=60") as service:
        for number, name in enumerate(("fetch0", "fetch1", "job0", "job1")):
            drop(home.inbox / f"{name}.wav", number)
        wait_for(lambda: len(server.requests("download")) >= 2 and server.paid["total"] == 4)
        server.scenario(post=down, get=down, download=down)
        server.go_on()
        for number in range(4, 9):
            drop(home.inbox / f"wait{number}.wav", number)
        paused(service, "server")

        def tries() -> list[float]:
            return times([entry for entry in server.log if entry["path"].endswith(KEY_PROBE)])

        wait_for(lambda: len(tries()) >= 5 + 8)
        _, _, _, _, backed_off, *_ = tries()
        during = [time for time in times(server.log) if time >= backed_off]
        assert all(b - a > 0.14 for a, b in pairs(during))
        assert len(home.waiting()) == 9
        server.finish()
        server.scenario(post=[], get=[], download=[])
        wait_until_done(service, 9)
        assert "server" in resumed(service)
    assert server.paid["total"] == 9
    assert home.reasons() == {}


def test_an_outage_costs_at_most_the_songs_in_flight_when_it_began(
    tmp_path: Path, server: ScenarioServer, wire: str
) -> None:
    """Ten minutes of 502 to everything, which may come from a server that took the song.

    Wire A: those in flight are left to their owner. Wire B: they are looked up, and submitted
    again where they were not taken. Nothing is paid twice, all others are delivered.
    """
    at_once, songs = 3, 12
    gateway: dict[str, Any] = {"status": 502, "html": True}
    forever: list[dict[str, Any]] = [{**gateway, "times": "ever"}]
    server.scenario(
        post=[{}, {**gateway, "accept": True, "delay": 0.1}, *forever],
        jobs=[{"seconds": 0.3}],
    )
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": at_once})
    with home.scaled_service(SCALE / 2) as service:
        drop(home.inbox / "before.wav", songs)
        # Done first: polls of it that fail could close the gate before a song is in flight.
        wait_until_done(service, 1)
        server.scenario(get=forever, download=forever, ticket=[{}] * at_once + forever)
        for number in range(songs):
            drop(home.inbox / f"song{number:02}.wav", number)
        paused(service, "server_error")
        paused(service, "server")
        wait_for(lambda: _nothing_in_flight(home), what="the end of those in flight")
        begun, asked = len(server.requests("post")), len(server.log)
        wait_for(lambda: len(server.log) >= asked + 10)
        assert len(server.requests("post")) == begun  # no song was risked for a try
        whole = sum("finished" in post for post in server.requests("post"))
        assert whole <= 1 + at_once
        taken = server.paid["total"] - 1
        server.scenario(post=[], get=[], download=[], ticket=[])
        lost = 0 if wire == "presigned" else whole - 1
        wait_until_done(service, songs + 1 - lost)
        wait_for(lambda: len(home.reasons()) == lost)
        assert {"server", "server_error"} <= set(resumed(service))
    assert {reason["code"] for reason in home.reasons().values()} <= {"submission_unconfirmed"}
    assert set(server.paid["by_sha256"].values()) == {1}
    # Of wire A what was taken behind a 502 is paid for, and not delivered.
    assert server.paid["total"] == songs + 1 - lost + (taken if lost else 0)


def _nothing_in_flight(home: Home) -> bool:
    """As told after both pauses began: a slot is held until its song's answer is there."""
    status = home.status()
    codes = {pause["code"] for pause in status["pauses"]}
    return codes >= {"server", "server_error"} and status["slots"]["held"] == 0


def test_submissions_that_all_get_502_cost_one_song_a_try(
    tmp_path: Path, server: ScenarioServer, wire: str
) -> None:
    """Questions are answered all the while: only a song can tell, alone, and ever more rarely."""
    server.scenario(post=[{"status": 502, "times": "ever"}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 1})
    with home.scaled_service(SCALE):
        for number in range(8):
            drop(home.inbox / f"song{number}.wav", number)
        wait_for(lambda: len(server.requests("post")) >= 4)
        posts = times(server.requests("post"))
        server.scenario(post=[])

        def lost() -> int:
            refused = sum(post["status"] == 502 for post in server.requests("post"))
            return refused if wire == "separate" else 0

        wait_for(lambda: len(home.reasons()) == lost() == 8 - len(list(home.archive.glob("*.wav"))))
    # 2.5, 5 and 10 s at least, scaled
    gaps = [b - a for a, b in pairs(posts)]
    assert all(gap >= least for gap, least in zip(gaps, (0.025, 0.05, 0.1), strict=False))
    assert set(server.paid["by_sha256"].values()) == {1}


def test_a_server_that_is_not_there_is_waited_for(tmp_path: Path, wire: str) -> None:
    """Connection refused, five times: a pause that names it; it ends when the server comes."""
    port = free_port()
    home = Home(tmp_path, watch=QUICK, base_url=f"http://127.0.0.1:{port}/v1")
    with home.scaled_service(SCALE) as service:
        for number in range(3):
            drop(home.inbox / f"song{number}.wav", number)
        event = paused(service, "server")
        assert f"127.0.0.1:{port}" in event["message"]
        assert len(home.waiting()) == 3
        with ScenarioServer(wire=wire, key=KEY, port=port, job_seconds=0.1) as server:
            wait_until_done(service, 3)
            assert resumed(service).count("server") == 1
            assert server.paid["total"] == 3
    assert home.reasons() == {}


def test_an_outage_of_the_storage_alone_stops_paying_for_more(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Stems that can't be fetched hold submitting; one download at a time asks again."""
    forever = [{"status": 503, "times": "ever"}]
    server.scenario(download=forever, jobs=[{"seconds": 3600}] * 3)
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with home.scaled_service(SCALE) as service:
        for number in range(3):
            drop(home.inbox / f"song{number}.wav", number)
        wait_for(lambda: server.paid["total"] == 3)
        server.finish()
        paused(service, "storage")
        for number in range(3, 6):
            drop(home.inbox / f"song{number}.wav", number)
        wait_for(lambda: home.journal_count("queued") == 3)
        assert_tries_become_rare(server, "download", 5 + 3 + 3)
        assert server.paid["total"] == 3  # none that came after it
        assert len(home.waiting()) == 6
        server.scenario(download=[])
        wait_until_done(service, 6)
        assert "storage" in resumed(service)
    assert home.reasons() == {}


def test_one_song_s_dead_stems_hold_up_nobody_else(tmp_path: Path, server: ScenarioServer) -> None:
    """Alone, and when the storage was down for others meanwhile; what is paid for is kept."""
    dead = {"bad.wav": {"download": [{"status": 500, "times": "ever"}]}}
    server.scenario(by_name=dead)
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with home.scaled_service(SCALE) as service:
        drop(home.inbox / "bad.wav", 0)
        wait_for(lambda: len(server.requests("download")) >= 7)
        drop(home.inbox / "song1.wav", 1)
        wait_until_done(service, 1)
        assert service.events("service.paused") == []
        server.scenario(by_name=dead, download=[{"status": 503, "times": "ever"}])
        drop(home.inbox / "song2.wav", 2)
        paused(service, "storage")
        server.scenario(by_name=dead, download=[])
        drop(home.inbox / "song3.wav", 3)
        wait_until_done(service, 3)
        server.scenario(by_name={"bad.wav": {}})
        wait_until_done(service, 4)
    assert server.paid["total"] == 4
    assert home.reasons() == {}


@SEPARATE
@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("download", {"status": 503, "headers": {"Retry-After": "0"}}),
        ("download", {"status": 500}),
        ("get", {"status": 500}),
    ],
)
def test_once_ends_with_a_song_whose_stems_alone_can_t_be_had(
    tmp_path: Path, server: ScenarioServer, call: str, fault: dict[str, Any]
) -> None:
    """One song begins no pause, and was asked for without end. It is kept for the next run."""
    server.scenario(by_name={"bad.wav": {call: [{**fault, "times": "ever"}]}})
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    for number, name in enumerate(["bad.wav", "song.wav"]):
        drop(home.inbox / name, number)
    with home.scaled_service(SCALE, "--once") as service:
        assert service.process.wait(60) == 1
        assert len(service.events("service.unfinished")) == 1
    assert home.sidecars().keys() == {"song"}
    assert (server.paid["total"], home.reasons()) == (2, {})
    server.scenario(by_name={"bad.wav": {}})
    assert home.command("run", "--once").returncode == 0
    assert server.paid["total"] == 2
