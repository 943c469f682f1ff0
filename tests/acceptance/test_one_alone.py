"""The server fails one song, or its remote job, and serves all others: it holds up nobody.

It is told, and quarantined with what is paid for. What everybody meets is in `test_pauses_outages`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import KEY, SEPARATE, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

SCALE = 0.01
QUICK = {"settle_seconds": 0.05}


@pytest.fixture
def server(wire: str) -> Iterator[ScenarioServer]:
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.05) as server:
        yield server


def ever(status: int) -> list[dict[str, Any]]:
    return [{"status": status, "times": "ever"}]


def delivered(home: Home, *names: str) -> bool:
    return home.sidecars().keys() >= {*names}


FAILURES = [
    pytest.param("separate", 500, "server_error", id="separate: 500"),
    pytest.param("presigned", 500, "server_error", id="presigned: 500"),
    pytest.param("separate", 409, "busy", id="separate: 409"),
    # A gateway's: the list of jobs is asked each time whether the song was taken.
    pytest.param("presigned", 502, "server_error", id="presigned: 502"),
]


@pytest.mark.parametrize(("wire", "status", "code"), FAILURES)
def test_a_song_that_the_server_fails_to_take_is_not_uploaded_for_ever(
    tmp_path: Path, server: ScenarioServer, status: int, code: str
) -> None:
    """It answers so to this one and takes the others: after five such tries a person has to look.

    The whole file went again every minute, for years, and no warning named it.
    """
    server.scenario(by_name={"bad.wav": {"post": ever(status)}})
    home = Home(tmp_path, watch=QUICK, base_url=server.url)

    def tries() -> int:
        return sum(post.get("filename") == "bad.wav" for post in server.requests("post"))

    def fails_again(before: int) -> bool:
        return tries() > before or bool(home.reasons())

    def accepted(count: int) -> bool:
        return int(server.paid["total"]) == count

    soon = ["retry_first=0.3", "retry_max=0.3", "confirm_again=0.1"]
    # As in real time, a pause tries a song again before the bad one was looked for twice: else that
    # one, the oldest, would be the song of each trial.
    soon += ["outage_min=0.05", "outage_max=0.1"]
    with home.scaled_service(SCALE, *soon):
        drop(home.inbox / "bad.wav")
        good = 0
        while good < 20 and not home.reasons():
            wait_for(functools.partial(fails_again, tries()))
            good += 1
            drop(home.inbox / f"good{good}.wav", good)
            wait_for(functools.partial(accepted, good))
        (reason,) = home.reasons().values()
    told = None if status == 502 else status
    assert (reason["code"], reason["http_status"], reason["attempts"]) == (code, told, 5)
    assert "while it took others" in reason["message"]
    assert tries() >= 6
    assert server.paid["total"] == good


@SEPARATE  # a 429 is the same on both
@pytest.mark.parametrize("route", ["post", "get"])
@pytest.mark.timeout(400)
def test_a_song_that_alone_gets_429_stops_nobody(
    tmp_path: Path, server: ScenarioServer, route: str
) -> None:
    """To its submission, or to each poll: the others go on. It is never given up for that.

    Being the oldest, it was the first after each pause, and held up everybody again.
    """
    server.scenario(by_name={"bad.wav": {route: ever(429)}})
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    with home.scaled_service(SCALE, "missing_gap=0.1", "rate_limited_max=0.05") as service:
        drop(home.inbox / "bad.wav")
        service.wait_for_event("service.paused")
        more = itertools.count(1)

        def waits_alone() -> bool:
            number = next(more)
            drop(home.inbox / f"good{number}.wav", number)
            wait_for(lambda: delivered(home, f"good{number}"))
            return any(event["code"] == "busy" for event in service.events("job.waits"))

        wait_for(waits_alone, timeout=100.0)
        server.scenario(by_name={"bad.wav": {}})
        wait_for(lambda: delivered(home, "bad"))
    assert home.reasons() == {}
    assert server.paid["total"] == next(more)


def test_a_job_that_the_server_refuses_to_tell_of_stops_nobody(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """403 to this job's polls, as of another account's key: the key is good, and work goes on.

    What is paid for is kept: once the server tells of it, `retry` delivers it.
    """
    server.scenario(by_name={"bad.wav": {"get": ever(403)}})
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    soon = [f"{wait}=0.1" for wait in ("missing_gap", "account_first", "unreadable_gap")]
    with home.scaled_service(SCALE, *soon) as service:
        drop(home.inbox / "bad.wav")
        service.wait_for_event("service.paused")
        for number in range(1, 4):
            drop(home.inbox / f"good{number}.wav", number)
        wait_for(lambda: delivered(home, "good1", "good2", "good3"))
        more = itertools.count(4)

        def given_up() -> bool:
            number = next(more)
            drop(home.inbox / f"good{number}.wav", number)
            wait_for(lambda: delivered(home, f"good{number}"))
            return bool(home.reasons())

        wait_for(given_up, what="a reason")
        (reason,) = home.reasons().values()
        assert (reason["code"], reason["http_status"]) == ("auth", 403)
        assert reason["attempts"] >= 3
        assert reason["job_id"] == server.paid["jobs"][0]["id"]
        assert "pays nothing" in reason["hint"]
        server.scenario(by_name={"bad.wav": {}})
        home.command("retry", "bad.wav")
        wait_for(lambda: delivered(home, "bad"))
    assert server.paid["total"] == next(more)


@SEPARATE  # only the answers' form differs, as above
def test_a_job_whose_polls_fail_for_ever_is_told_and_given_up_like_one_that_never_ends(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """At its deadline, and when the server keeps no results any more: its slot is free again."""
    plans = {"long.wav": {"plan": {"seconds": 30.0}}, "bad.wav": {"get": ever(500)}}
    server.scenario(by_name=plans)
    api = {"job_deadline": 1.0, "max_concurrent": 2}
    home = Home(tmp_path, watch=QUICK, base_url=server.url, api=api)
    with home.scaled_service(SCALE, "retention=1.5") as service:
        drop(home.inbox / "bad.wav", 0)
        wait_for(lambda: server.paid["total"] == 1)
        drop(home.inbox / "long.wav", 1)
        late = service.events
        wait_for(lambda: any(event["name"] == "bad.wav" for event in late("job.late")))
        drop(home.inbox / "next.wav", 2)
        wait_for(lambda: delivered(home, "next"), what=f"the slot of bad.wav in\n{service.text()}")
        # A slot is free before the file is moved; the other song is given up as well.
        wait_for(lambda: "bad.wav" in home.reasons())
        reason = home.reasons()["bad.wav"]
        bad = server.paid["jobs"][0]
    assert (reason["code"], reason["http_status"]) == ("overdue", 500)
    assert reason["job_id"] == bad["id"]
    asked = [r["time"] for r in server.requests("get") if r["path"].endswith(bad["id"])]
    assert asked[-1] - bad["accepted"] >= 1.4
