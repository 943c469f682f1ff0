"""Results that are called by a pattern over tags and facts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mutagen
import pytest

from tests.acceptance.harness import KEY, SEPARATE, Home
from tests.acceptance.songs import encode
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

NAMES = {"name": "{artist} - {title}", "stem_name": "{stem} {bpm} ({title})"}
QUICK = {"settle_seconds": 0.05, "rescan_seconds": 0.3}
pytestmark = SEPARATE


@pytest.fixture
def server(wire: str) -> Iterator[ScenarioServer]:
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.05) as server:
        yield server


def song(path: Path, seed: int, **tags: str) -> Path:
    """An MP3 with these tags. It appears whole: a service that runs must not see it without."""
    part = encode(path.with_name(f".tagging {path.name}"), seed)
    file = mutagen.File(part, easy=True)
    file.add_tags()
    file.update(tags)
    file.save()
    return part.rename(path)


def once(home: Home) -> None:
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stderr


def stems(home: Home, folder: str) -> list[str]:
    named = [stem["file"] for stem in home.sidecars()[folder]["stems"]]
    there = sorted(p.name for p in (home.outbox / folder).iterdir() if p.suffix == ".wav")
    assert sorted(named) == there
    return there


def test_tags_and_facts_name_the_result(tmp_path: Path, server: ScenarioServer) -> None:
    """A slash makes no folder, a missing tag the usual name, a taken name its suffix; reuse holds.

    The sidecar names the files, so the same song dropped again is found and free.
    """
    home = Home(tmp_path, server.url, watch=QUICK, outbox=NAMES)
    song(home.inbox / "live" / "01.mp3", 1, artist="AC/DC", title="T.N.T.")
    song(home.inbox / "02.mp3", 2, title="Nobody's")
    song(home.inbox / "03.mp3", 3, artist="AC/DC", title="T.N.T.")
    song(home.inbox / "04.mp3", 4, artist="ac/dc", title="t.n.t.")
    once(home)
    found = home.sidecars()
    assert len(found) == 4
    bpm = f"{found['02']['bpm']:.0f}"
    assert stems(home, "live/AC_DC - T.N.T") == [
        f"Instrumental {bpm} (T.N.T.).wav",
        f"Vocals {bpm} (T.N.T.).wav",
    ]
    assert stems(home, "02") == [
        f"Instrumental {bpm} (Nobody's).wav",
        f"Vocals {bpm} (Nobody's).wav",
    ]
    assert sum(name.lower().startswith("ac_dc - t.n.t") for name in found) == 2
    song(home.inbox / "again.mp3", 1, artist="AC/DC", title="T.N.T.")
    once(home)
    assert server.paid["total"] == 4
    again = next(one for one in home.sidecars().values() if one["reused_from"])
    assert again["reused_from"] == "live/AC_DC - T.N.T"


def test_a_kill_before_the_commit_makes_no_second_folder(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """It is found by the tags in the journal, also where the original was taken away meanwhile."""
    home = Home(tmp_path, server.url, watch=QUICK, outbox=NAMES)
    song(home.inbox / "01.mp3", 1, artist="Who", title="What")
    once(home)
    with closing(sqlite3.connect(home.state / "journal.sqlite3")) as db, db:
        db.execute("UPDATE jobs SET state = 'separated', delivered_to = NULL, filed_to = NULL")
    (home.archive / "01.mp3").unlink()
    once(home)
    assert list(home.sidecars()) == ["Who - What"]
    assert home.journal_count("done") == 1


def test_a_pattern_is_taken_over_while_the_service_runs(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """For what is delivered from then on; the journal keeps the tags that it needs for that."""
    home = Home(tmp_path, server.url, watch=QUICK)
    with home.service() as service:
        song(home.inbox / "01.mp3", 1, artist="Who", title="What")
        wait_for(lambda: "01" in home.sidecars())
        home.configure(server.url, watch=QUICK, outbox={"name": "{title} by {artist}"})
        service.signal(1)
        service.wait_for_event("config.reloaded")
        song(home.inbox / "02.mp3", 2, artist="Who", title="Why")
        wait_for(lambda: "Why by Who" in home.sidecars())
    assert home.rows("SELECT song_tags FROM jobs ORDER BY id") == [
        (None,),
        ('{"artist": "Who", "title": "Why"}',),
    ]
    faulty = home.command("check", "-c", str(_with(home, "{titel}")))
    assert faulty.returncode == 78
    assert "outbox.name" in faulty.stdout + faulty.stderr
    assert "did you mean {title}?" in faulty.stdout + faulty.stderr


def _with(home: Home, name: str) -> Path:
    home.configure("http://127.0.0.1:9/v1", outbox={"name": name})
    return home.config
