"""Notices and hooks of the real service: one message for many songs, a command for each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import KEY, SCALED, Home
from tests.acceptance.shared import Shared
from tests.acceptance.songs import drop
from tests.support import warm
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for
from tests.support.webhook_receiver import Receiver

QUICK = {"settle_seconds": 0.05}
EVERYTHING = ["delivered", "quarantined", "paused", "resumed", "budget"]
# The last message gets 8 s in life. A slow machine may need more to import what sends it.
LAST_WORDS = "notice_end=90"


@pytest.fixture(scope="module")
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, job_seconds=0.1) as running:
        yield running


def url_of(receiver: Receiver) -> str:
    return receiver.url.replace("http://", "json://") + "/secret-token-of-notices"


def messages(receiver: Receiver) -> list[str]:
    """Title and body of each, as somebody reads them."""
    found = [json.loads(call.body) for call in receiver.calls]
    return [f"{message['title']}\n{message['message']}" for message in found]


def executable(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def once(home: Home) -> None:
    """`run --once`, whose last message may take its time."""
    command = [*SCALED, "1", str(home.config), "--once", LAST_WORDS]
    warm.run(command, cwd=warm.ROOT, env=home.env(), timeout=150)


def written(folder: Path) -> list[Path]:
    """What hooks have left there: `cat` writes it in one go, after the shell has made the file."""
    return [path for path in folder.iterdir() if path.stat().st_size]


def documents(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in folder.glob("*.json")]


@pytest.mark.timeout(400)
def test_thirty_songs_are_one_message_and_thirty_hooks(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """And one in quarantine: two messages at most, each sidecar and the reason as JSON."""
    got = tmp_path / "got"
    got.mkdir()
    hook = executable(tmp_path / "hook", f'cat > "{got}/$STEMWATCH_EVENT-$STEMWATCH_NAME.json"')
    with Receiver() as receiver:
        home = Home(
            tmp_path,
            server.url,
            watch=QUICK,
            api={"max_concurrent": 8},
            notify={"urls": [url_of(receiver)], "events": EVERYTHING, "every": 600},
            hooks={"delivered": [hook], "quarantined": [hook]},
        )
        for number in range(30):
            drop(home.inbox / f"song {number}.wav", number)
        (home.inbox / "broken.wav").write_bytes(b"no audio" * 100)
        with home.scaled_service(1, LAST_WORDS) as service:
            wait_for(lambda: len(written(got)) == 31, timeout=150)
            service.stop(120)
        assert 1 <= len(receiver.calls) <= 2
        text = messages(receiver)[0]
    assert "30 delivered, 1 quarantined" in text
    assert "Quarantined: broken.wav (" in text
    assert "and 25 more." in text
    sidecars, reasons = home.sidecars(), home.reasons()
    delivered = [d for d in documents(got) if "schema" in d]
    assert sorted(d["source"]["name"] for d in delivered) == sorted(f"{s}.wav" for s in sidecars)
    assert all(d == sidecars[d["source"]["name"].removesuffix(".wav")] for d in delivered)
    assert [d for d in documents(got) if "schema" not in d] == [reasons["broken.wav"]]
    assert service.process.returncode == 0
    assert "secret-token-of-notices" not in service.text()


def test_a_hanging_hook_holds_up_nobody(tmp_path: Path, server: ScenarioServer) -> None:
    """Songs go on beside it, and the service ends in its seconds; nothing of the hook is left."""
    pids = tmp_path / "pids"
    hook = executable(tmp_path / "hook", f"trap '' TERM; echo $$ >> {pids}; sleep 600 & wait")
    home = Home(tmp_path, server.url, watch=QUICK, hooks={"delivered": [hook]})
    for number in range(4):
        drop(home.inbox / f"{number}.wav", 100 + number)
    with home.scaled_service(0.1, "hook=600") as service:
        service.wait_for_event("job.done", count=4)
        wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        started = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - started < 15  # the hook takes ten minutes
        assert service.events("hooks.unfinished")[0]["count"] == 4
        assert "Traceback" not in service.text()
    wait_for(lambda: not any(Path("/proc", pid).exists() for pid in pids.read_text().split()))


def test_a_pause_its_end_and_a_dead_address(tmp_path: Path, server: ScenarioServer) -> None:
    """A refused key is told once it lasts, and that it goes on; a dead address stops nobody."""
    with Receiver() as receiver, Receiver([500]) as dead:
        home = Home(
            tmp_path,
            server.url,
            watch=QUICK,
            notify={"urls": [url_of(dead), url_of(receiver)], "every": 0.05},
        )
        server.scenario(post=[{"status": 402}] * 4)
        drop(home.inbox / "song.wav", 200)
        with home.scaled_service(0.01) as service:
            wait_for(lambda: receiver.calls)  # not "== 1": the next may come between two looks
            wait_for(lambda: any("Goes on (credit)." in text for text in messages(receiver)))
            service.wait_for_event("notice.failed")
            service.stop()
        assert "Paused (credit): " in messages(receiver)[0]
        assert service.process.returncode == 0
        assert len(service.events("notice.failed")) == 1
        assert service.events("notices.unsent")
        assert "secret-token-of-notices" not in service.text()


@pytest.mark.timeout(400)
def test_a_budget_that_is_used_up_is_told_once(tmp_path: Path, server: ScenarioServer) -> None:
    """Also by `--once`, whose last words it is; the song stays where it is."""
    with Receiver() as receiver:
        home = Home(
            tmp_path,
            server.url,
            watch=QUICK,
            budget={"minutes_per_month": 10 / 60},
            notify={"urls": [url_of(receiver)], "every": 600},
        )
        drop(home.inbox / "long.wav", 300, seconds=15)
        once(home)
        (text,) = messages(receiver)
    assert "budget used up" in text
    assert "(budget.minutes_per_month): 0.2 minutes are left, 1 song waits until " in text
    assert home.waiting() == ["long.wav"]


@pytest.mark.timeout(400)
def test_an_inboxs_own_budget_is_told_as_its_own(tmp_path: Path, server: ScenarioServer) -> None:
    """Once a run, with its own songs only; the other inbox, which has none, goes on."""
    got = tmp_path / "got"
    hook = executable(tmp_path / "hook", f'cat >> "{got}"')
    with Receiver() as receiver:
        shared = Shared(
            tmp_path,
            server,
            dj={"budget": {"minutes_per_month": 10 / 60}},
            notify={"urls": [url_of(receiver)], "every": 0.05},
            hooks={"budget": [hook]},
        )
        for number in range(2):
            drop(shared.dj.inbox / f"long {number}.wav", 310 + number, seconds=15)
        with shared.home.service() as service:
            wait_for(lambda: receiver.calls and got.exists() and got.read_text())
            for number in range(2):
                drop(shared.karaoke.inbox / f"{number}.wav", 312 + number, seconds=15)
            wait_for(lambda: len(shared.karaoke.sidecars()) == 2)
            assert service.stop() == 0
        told = json.loads(got.read_text())  # one document: it ran once
        once(shared.home)
        first, second = messages(receiver)
    key = "inboxes.dj.budget.minutes_per_month"
    assert (told["inbox"], told["code"]) == ("dj", key)
    assert f"Budget used up ({key}): 0.2 minutes are left, " in first
    assert f"Budget used up ({key}): 0.2 minutes are left, 2 songs wait until " in second
    assert shared.dj.waiting() == ["long 0.wav", "long 1.wav"]
