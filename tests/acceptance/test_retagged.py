"""The sound decides: songs under new tags, touched, restored from a backup, are not paid again.

The cases are from public reports, by the names of their projects.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mutagen.id3
import mutagen.mp3
import mutagen.wave
import pytest

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop, encode
from tests.support.retag import retag
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

KEPT = {"after_success": "keep"}


@pytest.fixture
def server() -> Iterator[ScenarioServer]:
    with ScenarioServer(key=KEY, job_seconds=0.1) as server:
        yield server


def once(home: Home) -> None:
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stdout + done.stderr


def identity(path: Path) -> str:
    """As the journal has it."""
    found = path.stat()
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def files(home: Home) -> list[Path]:
    return [path for path in home.outbox.rglob("*") if path.is_file()]


def replaced(path: Path, title: str) -> None:
    """A tag editor that writes the song anew and puts it in the old one's place."""
    new = path.with_name(".new" + path.suffix)
    shutil.copyfile(path, new)
    os.replace(retag(new, title), path)


def test_kept_songs_that_were_touched_or_restored_are_known(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """immich 16375: a backup was played back, and every song was delivered a second time."""
    home = Home(tmp_path, server.url, folders=KEPT)
    touched, restored = drop(home.inbox / "touched.wav", 1), drop(home.inbox / "restored.wav", 2)
    with home.service() as service:
        service.wait_for_event("job.done", count=2)
        before = home.rows("SELECT id, state, updated_at FROM jobs ORDER BY id")
        os.utime(touched)
        backup = shutil.copyfile(restored, home.root / "backup.wav")
        os.replace(backup, restored)
        wanted = {identity(touched), identity(restored)}
        wait_for(lambda: {row[0] for row in home.rows("SELECT identity FROM jobs")} == wanted)
    once(home)
    assert home.rows("SELECT id, state, updated_at FROM jobs ORDER BY id") == before
    assert sorted(home.sidecars()) == ["restored", "touched"]
    assert server.paid["total"] == 2


def test_a_kept_song_that_is_touched_gets_what_is_asked_for_by_now(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """A stem file and a mix of the stems that are there: it passed for known, and got neither."""
    four: dict[str, object] = {"stems": 4}
    asked = {"stem_file": "aac"}, {"mixes": {"low": ["drums", "bass"]}}
    home = Home(tmp_path, server.url, folders=KEPT, separation=four)
    song = drop(home.inbox / "song.wav")
    with home.service() as service:
        service.wait_for_event("job.done")
        for count, more in enumerate(asked, 1):
            home.configure(server.url, folders=KEPT, separation=four | more)
            service.signal(signal.SIGHUP)
            service.wait_for_event("config.reloaded", count=count)
            os.utime(song)
            service.wait_for_event("job.done", count=count + 1)
    made = home.sidecars()
    assert made.pop("song")["stem_file"] is None
    found = sorted((one["stem_file"] is None, len(one["stems"])) for one in made.values())
    assert found == [(False, 4), (True, 5)]
    assert server.paid["total"] == 1


def test_a_lost_journal_knows_the_songs_that_are_kept(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The whole library was delivered a second time, beside the first.

    A sidecar has no bytes that are no UTF-8, so it can't tell the path of a song with such a name.
    """
    made = {"stems": 4, "stem_file": "aac", "mixes": {"low": ["drums", "bass"]}}
    home = Home(tmp_path, server.url, folders=KEPT, separation=made)
    names = ("song.wav", os.fsdecode(b"caf\xe9.wav"))
    songs = [drop(home.inbox / "album" / name, at) for at, name in enumerate(names)]
    once(home)
    shutil.rmtree(home.state)
    home.configure(server.url, folders=KEPT, separation=made | {"stem_file": "alac"})
    once(home)  # nobody touched it: what is asked for by now does not matter
    home.configure(server.url, folders=KEPT, separation=made)
    for song in songs:
        os.utime(song)
    once(home)  # they have all of that: their sidecars said so
    assert sorted(home.sidecars()) == ["album/caf_", "album/song"]
    assert server.paid["total"] == 2


def test_a_kept_song_with_a_new_tag_is_reused(tmp_path: Path, server: ScenarioServer) -> None:
    """immich 24917, czkawka 1285: one tag was written, and the song was paid for again."""
    home = Home(tmp_path, server.url, folders=KEPT)
    song = encode(home.inbox / "song.mp3")
    with home.service() as service:
        service.wait_for_event("job.done")
        retag(song, "The new title")
        service.wait_for_event("job.done", count=2)
    (again,) = (name for name in home.sidecars() if name != "song")
    first, second = home.sidecars()["song"], home.sidecars()[again]
    assert second["reused_from"] == "song"
    assert second["source"]["audio_sha256"] == first["source"]["audio_sha256"]
    assert second["source"]["sha256"] != first["source"]["sha256"]
    stem = home.outbox / again / second["stems"][0]["file"]
    assert mutagen.wave.WAVE(stem)["TIT2"].text == ["The new title (Vocals)"]
    sounds = [[stem["audio_sha256"] for stem in one["stems"]] for one in (first, second)]
    assert sounds[0] == sounds[1]
    assert None not in sounds[0]
    assert server.paid["total"] == 1


def test_the_same_sound_under_other_tags_and_names_is_reused(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Three downloads of one song, tagged by three programs, come at once."""
    home = Home(tmp_path, server.url, api={"max_concurrent": 5})
    first = encode(home.root / "song.mp3")
    for n in range(3):
        (home.inbox / f"album {n}").mkdir()
        song = shutil.copyfile(first, home.inbox / f"album {n}" / f"{n}.mp3")
        retag(song, f"Title {n}", cover=1000 * n)
    once(home)
    origins = [sidecar["reused_from"] for sidecar in home.sidecars().values()]
    assert (len(origins), origins.count(None)) == (3, 1)
    for name in home.sidecars():
        stem = home.outbox / name / f"{name[-1]} (Vocals).wav"
        assert mutagen.wave.WAVE(stem)["TIT2"].text == [f"Title {name[-1]} (Vocals)"]
    assert server.paid["total"] == 1
    assert home.waiting() == []


def test_songs_tagged_while_they_are_separated_are_one_job_each(tmp_path: Path) -> None:
    """dejavu 21: such a song was paid for twice, and the first job's file was never filed."""
    with ScenarioServer(key=KEY, job_seconds=3600) as server:
        home = Home(tmp_path, server.url)
        songs = [encode(home.inbox / name, n) for n, name in enumerate(["in place.mp3", "new.mp3"])]
        with home.service() as service:
            wait_for(lambda: home.journal_count("separating") == 2)
            retag(songs[0], "Title")
            replaced(songs[1], "Title")
            wanted = {identity(song) for song in songs}
            wait_for(lambda: {row[0] for row in home.rows("SELECT identity FROM jobs")} == wanted)
            server.finish()
            service.wait_for_event("job.done", count=2)
        assert home.rows("SELECT state FROM jobs") == [("done",), ("done",)]
        assert home.waiting() == []
        for song in songs:
            assert mutagen.mp3.MP3(home.archive / song.name)["TIT2"].text == ["Title"]
        assert sorted(home.sidecars()) == ["in place", "new"]
        assert server.paid["total"] == 2


def test_a_song_tagged_just_before_it_is_filed_is_filed(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The inbox has not looked again yet: the step that files it looks at the sound itself."""
    home = Home(tmp_path, server.url)
    song = encode(home.inbox / "song.mp3")
    server.scenario(download=[{"status": 503, "times": "ever"}])
    with home.service():
        wait_for(lambda: home.journal_count("separated"))
    replaced(song, "New")
    home.configure(server.url, watch={"settle_seconds": 30, "rescan_seconds": 30})
    server.scenario(download=[])
    with home.service() as service:
        service.wait_for_event("job.done")
    assert home.waiting() == []
    assert mutagen.mp3.MP3(home.archive / "song.mp3")["TIT2"].text == ["New"]
    assert home.rows("SELECT count(*) FROM jobs") == [(1,)]
    assert server.paid["total"] == 1


def test_a_song_tagged_while_it_waits_is_one_job(tmp_path: Path, server: ScenarioServer) -> None:
    """It waits because of the budget, and goes on with its new tags."""
    home = Home(tmp_path, server.url, budget={"minutes_per_month": 0.01})
    song = encode(home.inbox / "song.mp3")
    with home.service():
        wait_for(lambda: home.journal_count("queued"))
        retag(song, "New")
        wanted = identity(song)
        wait_for(lambda: home.rows("SELECT identity, state FROM jobs") == [(wanted, "queued")])
    home.configure(server.url)
    once(home)
    assert home.rows("SELECT count(*), min(state) FROM jobs") == [(1, "done")]
    assert list(home.sidecars()) == ["song"]
    assert server.paid["total"] == 1


def test_two_deliveries_share_no_file_and_no_tags(tmp_path: Path, server: ScenarioServer) -> None:
    """Lidarr 1016: a tag written into one stem changed another person's delivery, and the next
    drop was paid for again."""
    home = Home(tmp_path, server.url, separation={"format": "mp3"})
    with home.service() as service:
        for count, name in enumerate(["one", "two"], 1):
            drop(home.inbox / f"{name}.wav", 1)
            service.wait_for_event("job.done", count=count)
            for stem in (home.outbox / name).glob("*.mp3"):
                others = {path: path.read_bytes() for path in files(home) if path != stem}
                retag(stem, "mine", cover=20_000)
                assert {path: path.read_bytes() for path in others} == others
        drop(home.inbox / "three.wav", 1)
        service.wait_for_event("job.done", count=3)
    assert len({path.stat().st_ino for path in files(home)}) == len(files(home))
    assert {path.stat().st_nlink for path in files(home)} == {1}
    assert home.sidecars()["three"]["reused_from"] in ("one", "two")
    for path in (home.outbox / "three").glob("*.mp3"):
        assert b"mine" not in path.read_bytes()
        assert b"PNG" not in path.read_bytes()
    assert server.paid["total"] == 1


def test_what_an_older_stemwatch_paid_for_is_known_by_its_bytes(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """It hashed no sound: the same file shows which, and then its tags don't count either."""
    home = Home(tmp_path, server.url)
    first = encode(home.root / "song.mp3")
    shutil.copyfile(first, home.inbox / "song.mp3")
    once(home)
    with closing(sqlite3.connect(home.state / "journal.sqlite3")) as db, db:
        key = "sha256 || substr(content_key, 65)"
        db.execute(f"UPDATE jobs SET content_key = {key}, audio_sha256 = NULL")
    shutil.copyfile(first, home.inbox / "again.mp3")
    once(home)
    retag(Path(shutil.copyfile(first, home.inbox / "tagged.mp3")), "New")
    once(home)
    assert [one["reused_from"] is None for one in home.sidecars().values()].count(True) == 1
    assert len(home.sidecars()) == 3
    assert server.paid["total"] == 1
