"""What concerns every song pauses the service, touches no file, and ends by itself.

Times between requests are the server's, in real time: a Retry-After is never scaled.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from stemwatch.stemsplit.separate import KEY_PROBE
from tests.acceptance.harness import EITHER, KEY, PRESIGNED, SEPARATE, Home, Service
from tests.acceptance.songs import drop
from tests.faults.disks import Tmpfs, why_no_mounts
from tests.support.clustered import scripted
from tests.support.ports import free_port
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

SCALE = 0.01

QUICK = {"settle_seconds": 0.05}  # the songs are written in one go
# Scaled, an upload ahead would be given up where a busy machine polls late, and be sent again.
PATIENT = "hold_max=30"


def paused(service: Service, reason: str) -> dict[str, Any]:
    """The event that reported this pause."""

    def told() -> dict[str, Any] | None:
        events = (e for e in service.events("service.paused") if e["reason"] == reason)
        return next(events, None)

    return wait_for(told, what=f"a pause for {reason} in\n{service.text()}")


def resumed(service: Service) -> list[str]:
    return [event["reason"] for event in service.events("service.resumed")]


def wait_until_done(service: Service, count: int = 1) -> None:
    archive = service.home.archive
    wait_for(lambda: len(list(archive.glob("*.wav"))) >= count, what=f"done in\n{service.text()}")


def times(entries: list[dict[str, Any]]) -> list[float]:
    return [entry["time"] for entry in entries]


def assert_tries_become_rare(server: ScenarioServer, route: str, quick: int) -> None:
    """Wait for three that come 30 s, scaled, after the one before; at most `quick` come sooner."""

    def asked() -> tuple[int, int]:
        moments = times(server.requests(route))
        rare = sum(b - a >= 30 * SCALE - 0.01 for a, b in pairs(moments))
        return len(moments) - rare, rare

    wait_for(lambda: asked()[0] > quick or asked()[1] >= 3, what=f"rare requests of {route}")
    assert asked()[0] <= quick


# -- the account ----------------------------------------------------------------------------


def test_a_refused_key_pauses_until_it_is_accepted_again(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The inbox is untouched, the key is tried with a backoff, and no restart is needed."""
    server.scenario(post=[{"status": 403}], get=[{"status": 401, "times": "ever"}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 1})
    with home.scaled_service(SCALE, "account_first=0.1", "account_max=1", PATIENT) as service:
        for number in range(5):
            drop(home.inbox / f"song{number}.wav", number)
        event = paused(service, "auth")
        assert "(403:" in event["message"]
        assert "STEMSPLIT_API_KEY" in event["hint"]
        refused = server.requests("post")[0]["time"]

        def tries() -> list[float]:  # again, without a song; wire B's start asks for its credit
            return [time for time in times(server.requests(server.key_route)) if time > refused]

        wait_for(lambda: len(tries()) >= 4)
        assert len(home.waiting()) == 5
        assert home.reasons() == {}
        assert len(server.requests("post")) == 1
        gaps = [b - a for a, b in pairs(tries())]
        assert [gap >= least for gap, least in zip(gaps, (0.1, 0.2, 0.4), strict=False)] == [
            True
        ] * 3
        server.scenario(post=[], get=[])
        wait_until_done(service, 5)
        assert "auth" in resumed(service)
    assert server.paid["total"] == 5
    assert len(server.requests("post")) == 6


def pairs(values: list[float]) -> list[tuple[float, float]]:
    return list(itertools.pairwise(values))


@SEPARATE
def test_no_credit_pauses_submitting_only_and_one_song_tries_again(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """402 names the seconds that are missing and where to buy them; what is paid for goes on.

    Of wire A only a song can tell: there is no question about what is left.
    """
    shop = "https://stemsplit.example/credits"
    body = {"error": "no credit", "requiredSeconds": 218.5, "purchaseUrl": shop}
    server.scenario(post=[{}, {"status": 402, "body": body, "times": 3}], jobs=[{"seconds": 0.5}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 1})
    with home.scaled_service(SCALE, PATIENT) as service:
        drop(home.inbox / "paid.wav", 0)
        wait_for(lambda: server.paid["total"] == 1)
        for number in range(1, 4):
            drop(home.inbox / f"song{number}.wav", number)
        event = paused(service, "credit")
        assert "218.5 s" in event["message"]
        assert shop in event["hint"]
        wait_until_done(service, 4)
        assert resumed(service) == ["credit"]
    posts = times(server.requests("post"))
    assert len(posts) == 4 + 3
    assert posts[3] - posts[2] > 0.3  # 30 s or more, scaled: one song at a time asks again
    assert home.reasons() == {}
    assert server.paid["total"] == 4


@PRESIGNED
def test_credit_that_came_back_is_found_by_asking_for_it(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """No song tries before the balance is enough for one that waits; then all go on."""
    server.scenario(post=[{"status": 402, "times": "ever"}], balance_seconds=4)
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 3})
    with home.scaled_service(SCALE, "account_max=0.5") as service:
        drop(home.inbox / "first.wav", 0)
        assert "402" in paused(service, "credit")["message"]
        posts = len(server.requests("post"))
        for number in range(1, 4):
            drop(home.inbox / f"song{number}.wav", number)
        asked = len(server.requests("balance"))
        wait_for(lambda: len(server.requests("balance")) >= asked + 3)
        assert len(server.requests("post")) == posts == 1
        assert resumed(service) == []
        server.scenario(post=[], balance_seconds=60)
        wait_until_done(service, 4)
        assert resumed(service) == ["credit"]
    assert home.reasons() == {}
    assert server.paid["total"] == 4


@PRESIGNED
def test_no_credit_is_left_for_a_song_whose_earlier_stems_are_gone(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Its content was paid for once, so it was taken for free: each question about the credit
    ended the pause, and the song was uploaded and refused again."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with home.scaled_service(SCALE, "account_max=0.5") as service:
        drop(home.inbox / "one.wav", 1)
        wait_until_done(service)
        shutil.rmtree(home.outbox / "one")
        server.scenario(post=[{"status": 402, "times": "ever"}], balance_seconds=0)
        drop(home.inbox / "again.wav", 1)
        paused(service, "credit")
        asked = len(server.requests("balance"))
        wait_for(lambda: len(server.requests("balance")) >= asked + 3)
        assert len(server.requests("post")) == 2
        assert resumed(service) == []
        server.scenario(post=[], balance_seconds=60)
        wait_until_done(service, 2)
        assert resumed(service) == ["credit"]
    assert server.paid["total"] == 2


def test_once_waits_for_what_is_paid_for_although_credit_is_out(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """`run --once` ends when only a person can help, and not while a paid job is under way."""
    server.scenario(post=[{}, {"status": 402, "times": "ever"}], jobs=[{"seconds": 3600}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 2})
    with home.service() as service:
        drop(home.inbox / "paid.wav", 0)
        wait_for(lambda: home.journal_count("separating") == 1)
        service.kill()
    drop(home.inbox / "refused.wav", 1)
    with home.service("--once") as service:
        paused(service, "credit")
        asked = len(server.requests("get"))
        ended = service.process.poll
        wait_for(lambda: ended() is not None or len(server.requests("get")) >= asked + 4)
        server.finish()
        assert service.process.wait(60) == 1, service.text()
    assert list(home.sidecars()) == ["paid"]
    assert home.waiting() == ["refused.wav"]
    assert server.paid["total"] == 1


@EITHER
def test_once_ends_with_a_separated_song_that_a_wrong_key_keeps_from_its_stems(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """After a restart the addresses of its stems are asked for anew: the key holds it back."""
    server.scenario(download=[{"hang": "head", "times": "ever"}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with home.service() as service:
        drop(home.inbox / "paid.wav", 0)
        wait_for(lambda: server.requests("download"))
        service.kill()
    ended = home.command("run", "--once", key="sk-wrong-0123456789abcdef", timeout=30)
    assert ended.returncode == 1, ended.stderr
    assert home.journal_count("separated") == 1


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


def test_a_wrong_address_pauses_and_names_the_key_that_mends_it(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """404 and redirects of POST speak of the configuration, not of a song."""
    moved = {"redirect": "https://x.example/", "status": 301}
    server.scenario(post=[{"status": 404}, moved, {"status": 404}])
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api={"max_concurrent": 1})
    with home.scaled_service(SCALE, PATIENT) as service:
        for number in range(3):
            drop(home.inbox / f"song{number}.wav", number)
        assert "api.base_url" in paused(service, "endpoint")["hint"]
        assert len(home.waiting()) == 3
        wait_until_done(service, 3)
    assert len(server.requests("post")) == 6
    assert home.reasons() == {}


# -- 429 ------------------------------------------------------------------------------------


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
        wait_for(lambda: _status(home)["slots"]["limit"] == 1)
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


def _status(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home.state / "status.json").read_text())
    return found


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
        wait_for(lambda: _status(home)["slots"]["limit"] == 3)
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


# -- the server -----------------------------------------------------------------------------


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


# -- the disk -------------------------------------------------------------------------------


def small_disk(folder: Path, megabytes: int = 16) -> Tmpfs:
    """A disk of that size, to be mounted at `folder`; skips the test where that can't be done."""
    if (why := why_no_mounts()) is not None:
        pytest.skip(why)
    return Tmpfs(folder, megabytes)


@EITHER
def test_a_full_outbox_submits_nothing_until_there_is_room(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Results must have somewhere to go before anything is paid; freeing space is enough."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with small_disk(home.outbox), home.scaled_service(SCALE) as service:
        ballast = home.outbox / "somebody's file"
        ballast.write_bytes(bytes(13 << 20))
        drop(home.inbox / "song.wav")
        event = paused(service, "room")
        assert str(home.outbox) in event["message"]
        assert "Free some space" in event["hint"]
        scans = _status(home)["watcher"]["scans"]
        wait_for(lambda: _status(home)["watcher"]["scans"] > scans + 1)
        assert server.requests("post") == []
        assert home.waiting() == ["song.wav"]
        ballast.unlink()
        wait_until_done(service)
        assert resumed(service) == ["room"]
        assert len(home.sidecars()) == 1
    assert server.paid["total"] == 1


@SEPARATE
def test_short_songs_pass_by_one_for_whose_stems_there_is_no_room(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """It held back all others of its inbox. It waits, is told of once, and comes with the room."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    # The stems of 5 s may take 8 MB, those of 60 s 50 MB.
    with small_disk(home.outbox, 60), home.scaled_service(SCALE) as service:
        ballast = home.outbox / "somebody's file"
        ballast.write_bytes(bytes(30 << 20))
        drop(home.inbox / "long.wav", 1, seconds=60)
        event = paused(service, "room")
        for number in range(2, 5):
            drop(home.inbox / f"short{number}.wav", number, seconds=5)
        wait_until_done(service, 3)
        assert home.waiting() == ["long.wav"]
        assert [pause["message"] for pause in _status(home)["pauses"]] == [event["message"]]
        ballast.unlink()
        wait_until_done(service, 4)
        assert len(service.events("service.paused")) == 1
        assert resumed(service) == ["room"]
        assert "stems of long.wav" in event["message"]
        assert service.events("job.waits") == []
    assert server.paid["total"] == 4


@SEPARATE
def test_once_ends_when_only_a_song_without_room_is_left(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """More short songs than seem to have room: their stems take less, which the next look shows."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    drop(home.inbox / "long.wav", 1, seconds=150)
    for number in range(2, 6):
        drop(home.inbox / f"short{number}.wav", number, seconds=5)
    once = home.scaled_service(SCALE, "--once", "disk_recheck=0.5")
    with small_disk(home.outbox, 20), once as service:
        assert service.process.wait(60) == 1
        assert home.waiting() == ["long.wav"]
        assert [held["reason"] for held in service.events("service.held")] == ["room"]
    assert server.paid["total"] == 4


@EITHER
@scripted
@pytest.mark.parametrize("which", ["outbox", "archive"])
def test_nothing_is_put_below_the_mount_point_of_an_absent_disk(
    tmp_path: Path, server: ScenarioServer, which: str
) -> None:
    """Unmounted at work, or not mounted yet at a start: nothing is paid until the disk is back."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    folder: Path = getattr(home, which)
    with small_disk(folder) as disk:
        with home.scaled_service(SCALE):
            pass  # the disk is known from now on
        with home.scaled_service(SCALE) as service:
            subprocess.run(["umount", "-l", str(folder)], check=True)
            drop(home.inbox / "song.wav")
            event = paused(service, "disk")
            assert event["message"] == f"{folder}: its disk, {folder}, is not mounted."
        with home.scaled_service(SCALE) as service:
            assert "is not mounted" in paused(service, "disk")["message"]
            assert server.requests("post") == []
            assert [p for p in folder.iterdir() if not p.name.startswith(".")] == []
            disk.mount()
            wait_until_done(service)
            assert resumed(service) == ["disk"]
            assert list(home.sidecars()) == ["song"]
    assert server.paid["total"] == 1
