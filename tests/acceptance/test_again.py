"""`stemwatch again`: a delivered song is paid for once more, because its owner says so."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import KEY, SEPARATE, Home
from tests.acceptance.songs import drop
from tests.support.retag import retag
from tests.support.scenario.server import ScenarioServer
from tests.support.struck import needs_strace, struck
from tests.support.waiting import wait_for

pytestmark = SEPARATE
QUICK = {"settle_seconds": 0.05, "rescan_seconds": 0.3}


@pytest.fixture
def server(wire: str) -> Iterator[ScenarioServer]:
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.05) as server:
        yield server


def once(home: Home) -> None:
    """Work off what is there."""
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stderr


def again(home: Home, *arguments: str) -> tuple[int, str]:
    done = home.command("again", *arguments, "-c", str(home.config))
    return done.returncode, done.stdout + done.stderr


def test_it_is_told_what_that_costs_and_the_earlier_folder_stays(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Nothing without a yes. Beside the running service, with what the configuration says now."""
    home = Home(tmp_path, server.url, watch=QUICK)
    drop(home.inbox / "Party" / "song.wav")
    once(home)
    first = home.sidecars()["Party/song"]
    home.configure(server.url, watch=QUICK, separation={"stems": 4, "format": "flac"})
    code, told = again(home, "song.wav")
    assert code == 2
    assert "are paid for anew" in told
    assert "4 stems in flac (before: 2 stems in wav)" in told
    assert server.paid["total"] == 1
    with home.service():
        code, told = again(home, "song.wav", "--yes")
        assert code == 0, told
        wait_for(lambda: len(home.sidecars()) == 2 and not home.waiting())
        folder = next(name for name in home.sidecars() if name != "Party/song")
    assert folder == f"Party/song [{first['source']['sha256'][:8]}]"
    new = home.sidecars()[folder]
    assert (new["separation"]["stems"], new["reused_from"]) == (4, None)
    assert home.sidecars()["Party/song"] == first
    assert server.paid["total"] == 2
    assert (home.archive / "Party" / "song.wav").exists()


def test_the_same_options_are_paid_for_too(tmp_path: Path, server: ScenarioServer) -> None:
    """Else `again` would only copy the earlier stems; afterwards a drop is free as ever."""
    home = Home(tmp_path, server.url, watch=QUICK, folders={"after_success": "keep"})
    drop(home.inbox / "song.wav")
    once(home)
    assert again(home, "song.wav", "--yes")[0] == 0
    code, told = again(home, "song.wav", "--yes")
    assert (code, "is queued as song.wav" in told) == (1, True)
    once(home)
    assert (len(home.sidecars()), server.paid["total"]) == (2, 2)
    code, told = again(home, "song.wav")  # one song, though delivered twice
    assert (code, "are paid for anew" in told) == (2, True)
    drop(home.inbox / "copy.wav")
    once(home)
    assert server.paid["total"] == 2
    assert home.waiting() == ["copy.wav", "song.wav"]


def test_what_was_done_again_is_known_by_its_sound(tmp_path: Path, server: ScenarioServer) -> None:
    """By other options, then dropped under new tags: paid once for each of the options."""
    home = Home(tmp_path, server.url, watch=QUICK, folders={"after_success": "keep"})
    song = drop(home.inbox / "song.wav")
    once(home)
    four = {"stems": 4, "format": "flac"}
    home.configure(server.url, watch=QUICK, folders={"after_success": "keep"}, separation=four)
    assert again(home, "song.wav", "--yes")[0] == 0
    once(home)
    retag(Path(shutil.copy(song, home.inbox / "copy.wav")), "Another")
    once(home)
    assert (len(home.sidecars()), server.paid["total"]) == (3, 2)


def test_new_tags_do_not_undo_the_order(tmp_path: Path, server: ScenarioServer) -> None:
    """A tag editor replaces the file before it is submitted: it is separated anew all the same."""
    home = Home(tmp_path, server.url, watch=QUICK)
    song = drop(home.inbox / "song.wav")
    once(home)
    assert again(home, "song.wav", "--yes")[0] == 0
    edited = Path(shutil.copy(song, tmp_path / "edited.wav"))
    retag(edited, "Another")
    edited.replace(song)
    once(home)
    assert server.paid["total"] == 2
    assert {one["reused_from"] for one in home.sidecars().values()} == {None}


@pytest.mark.timeout(400)
def test_beside_a_local_service_it_costs_nothing(tmp_path: Path, server: ScenarioServer) -> None:
    """Whatever the configuration names: `run --local` separates."""
    home = Home(tmp_path, server.url, watch=QUICK)
    with home.service("--local") as service:
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.done", timeout=150)
        assert again(home, "song.wav")[0] == 0
        service.wait_for_event("job.done", count=2, timeout=150)
    assert len(home.sidecars()) == 2
    assert home.rows("SELECT count(*) FROM jobs WHERE content_key LIKE '%:local'") == [(2,)]
    assert server.paid["total"] == 0


def test_what_can_not_be_done_again_is_told(tmp_path: Path, server: ScenarioServer) -> None:
    """Deleted, moved away, replaced by another song, not known at all."""
    home = Home(tmp_path, server.url, watch=QUICK)
    drop(home.inbox / "song.wav")
    once(home)
    filed = home.archive / "song.wav"
    code, told = again(home, "sonk.wav", "--yes")
    assert (code, "Did you mean song.wav?" in told) == (1, True)
    away = filed.rename(tmp_path / "away.wav")
    code, told = again(home, "song.wav", "--yes")
    assert (code, f"is no longer at {filed}" in told) == (1, True)
    home.archive.rename(tmp_path / "unmounted")
    assert again(home, "song.wav", "--yes")[0] == 1
    (tmp_path / "unmounted").rename(home.archive)
    filed.write_bytes(b"another")
    code, told = again(home, "song.wav", "--yes")
    assert (code, "is another song by now" in told) == (1, True)
    os.replace(away, filed)
    assert home.rows("SELECT count(*) FROM jobs") == [(1,)]
    home.configure(server.url, watch=QUICK, folders={"after_success": "delete"})
    assert again(home, "song.wav", "--yes")[0] == 0
    once(home)
    code, told = again(home, "song.wav", "--yes")
    assert (code, "is not kept" in told) == (1, True)
    assert server.paid["total"] == 2


def test_it_stays_within_the_budget(tmp_path: Path, server: ScenarioServer) -> None:
    """What was paid before does not make it free: it waits, and is not uploaded meanwhile."""
    home = Home(tmp_path, server.url, watch=QUICK, budget={"minutes_per_day": 0.1})
    drop(home.inbox / "song.wav")
    once(home)
    assert again(home, "song.wav", "--yes")[0] == 0
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 1, done.stderr
    told = home.command("status", "--json", "-c", str(home.config)).stdout
    assert json.loads(told)["budget"]["holding"]["files"] == 1
    assert server.paid["total"] == 1


@needs_strace
def test_a_kill_at_any_call_pays_at_most_once(tmp_path: Path, server: ScenarioServer) -> None:
    """Called again it goes on; the song is never lost, and never paid for a third time."""
    points = [("renameat2", 1), ("fsync", 1)]
    hits = 0
    for number, (call, n) in enumerate(points):
        home = Home(tmp_path / str(number), server.url, watch=QUICK)
        drop(home.inbox / "song.wav", number + 1)
        once(home)
        before = server.paid["total"]
        command = ("again", "song.wav", "--yes", "-c", str(home.config))
        hits += struck(home.root, *command, call=call, n=n)
        assert (home.archive / "song.wav").exists() != (home.inbox / "song.wav").exists()
        assert again(home, "song.wav", "--yes")[0] == 0 or home.waiting()
        once(home)
        assert server.paid["total"] == before + 1
        assert len(home.sidecars()) == 2
        assert (home.archive / "song.wav").exists()
    assert hits == 2
