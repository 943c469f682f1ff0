"""What was delivered is told by `history`, beside a running service and after it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import KEY, SEPARATE, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

pytestmark = SEPARATE  # what is remembered does not depend on the wire


def told(home: Home, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(home.command("history", "--json", *options).stdout)
    return found


@pytest.fixture
def home(tmp_path: Path, wire: str) -> Iterator[Home]:
    """One song that was paid for, the same once more, and one that is no audio."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        home = Home(tmp_path, server.url, budget={"price_per_minute": 6, "currency": "EUR"})
        drop(home.inbox / "Party" / "Pop Song.wav", 1)
        (home.inbox / "text.mp3").write_text("no audio " * 4000)
        with home.service() as service:
            service.wait_for_event("job.done")
            drop(home.inbox / "Again.wav", 1)
            service.wait_for_event("job.done", count=2)
            wait_for(home.reasons)
        yield home


def test_what_became_of_each_song_is_told_the_newest_first(home: Home) -> None:
    """When, name, tempo, key, folder, minutes and cost; of how many and since when is asked."""
    document = told(home)
    assert (document["schema"], document["kind"]) == ("stemwatch.history/1", "delivered")
    again, first = document["songs"]
    assert (again["relpath"], again["reused"], again["price"]) == ("Again.wav", True, None)
    assert (first["relpath"], first["reused"]) == ("Party/Pop Song.wav", False)
    assert first["folder"] == os.fspath(home.outbox / "Party" / "Pop Song")
    assert (first["minutes"], first["paid_minutes"], first["price"]) == (0.083, 0.083, 0.5)
    sidecar = home.sidecars()["Party/Pop Song"]
    assert (first["bpm"], first["key"]) == (sidecar["bpm"], sidecar["key"]["raw"])

    newest, oldest = home.command("history").stdout.splitlines()  # piped: a line each, for `grep`
    assert "Again.wav" in newest
    assert "reused" in newest
    assert "Party/Pop Song.wav" in oldest
    assert "0.50 EUR" in oldest
    assert oldest.endswith(first["folder"])

    assert [song["name"] for song in told(home, "-n", "1")["songs"]] == ["Again.wav"]
    assert len(told(home, "--since", "1h")["songs"]) == 2
    nothing = home.command("history", "--since", "2199-01-01")
    assert nothing.stdout == "Nothing was delivered since 2199-01-01.\n"
    wrong = home.command("history", "--since", "soon")
    assert wrong.returncode == 2
    assert "'soon' is no time; allowed is 30min, 12h, 7d" in wrong.stderr

    (bad,) = told(home, "--quarantined")["songs"]
    assert (bad["relpath"], bad["code"], bad["state"]) == ("text.mp3", "not_audio", "quarantined")
    assert bad["path"] == os.fspath(home.quarantine / "text.mp3")
    assert f"stemwatch discard {bad['id']}" in home.command("history", "--quarantined").stdout


def test_what_was_read_back_from_sidecars_is_told_without_its_cost(home: Home) -> None:
    """A journal that was lost is made again; what was spent is nowhere else."""
    for part in home.state.glob("journal.sqlite3*"):
        part.unlink()
    assert home.command("history").stdout == "Nothing was delivered yet.\n"
    with home.service():
        pass
    songs = told(home)["songs"]
    assert sorted(song["name"] for song in songs) == ["Again.wav", "Pop Song.wav"]
    assert {song["price"] for song in songs} == {None}
