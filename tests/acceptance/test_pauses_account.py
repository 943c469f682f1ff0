"""Pauses for the key, the credit and the address: they touch no file, and end by themselves."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.acceptance.harness import EITHER, PRESIGNED, SEPARATE, Home
from tests.acceptance.pauses import (
    PATIENT,
    QUICK,
    SCALE,
    pairs,
    paused,
    resumed,
    times,
    wait_until_done,
)
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


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
    ended = home.command("run", "--once", key="sk-wrong-0123456789abcdef")
    assert ended.returncode == 1, ended.stderr
    assert home.journal_count("separated") == 1


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
