"""The same content is paid for once; different songs never get in each other's way."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import SEPARATE, Home
from tests.acceptance.songs import SECONDS, drop, encode, wav_bytes
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for


def stem_hashes(home: Home, folder: str) -> dict[str, str]:
    """The hashes of the sound of a delivered folder's files, by stem.

    The bytes are what its sidecar says; tags differ from name to name.
    """
    sidecar = home.sidecars()[folder]
    for stem in sidecar["stems"]:
        data = (home.outbox / folder / stem["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == stem["sha256"]
    return {stem["id"]: stem["audio_sha256"] for stem in sidecar["stems"]}


def reused(home: Home) -> dict[str, str | None]:
    """Which folder each delivered folder was reused from."""
    return {folder: sidecar["reused_from"] for folder, sidecar in home.sidecars().items()}


def archived(home: Home) -> list[str]:
    return sorted(str(p.relative_to(home.archive)) for p in home.archive.rglob("*") if p.is_file())


def suffixed(name: str, data: bytes) -> str:
    """A taken name with the first 8 of the content's hash."""
    stem, ext = os.path.splitext(name)
    return f"{stem} [{hashlib.sha256(data).hexdigest()[:8]}]{ext}"


def test_different_songs_of_one_name_get_folders_of_their_own(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Two contents of one name, song.mp3 beside song.wav, SONG.flac: nothing is overwritten."""
    home = Home(tmp_path, server.url)
    first = drop(home.inbox / "song.wav", 1).read_bytes()
    with home.service() as service:
        service.wait_for_event("job.done")
        before = stem_hashes(home, "song")
        second = wav_bytes(2, seconds=SECONDS)
        drop(home.inbox / "song.wav", 2)
        service.wait_for_event("job.done", count=2)
        # Read before the service may take them.
        made = [encode(tmp_path / "made" / n, i) for i, n in enumerate(("song.mp3", "s.ogg"))]
        made.append(encode(tmp_path / "made" / "SONG.flac", 9))
        datas = {path.name: path.read_bytes() for path in made}
        for path in made:
            path.rename(home.inbox / path.name)
        service.wait_for_event("job.done", count=5)
    expected = {
        "song": first,
        suffixed("song", second): second,
        suffixed("song", datas["song.mp3"]): datas["song.mp3"],
        suffixed("SONG", datas["SONG.flac"]): datas["SONG.flac"],
        "s": datas["s.ogg"],
    }
    sidecars = home.sidecars()
    hashes = {folder: sidecar["source"]["sha256"] for folder, sidecar in sidecars.items()}
    assert hashes == {name: hashlib.sha256(data).hexdigest() for name, data in expected.items()}
    assert stem_hashes(home, "song") == before
    assert archived(home) == sorted(["song.wav", suffixed("song.wav", second), *datas])
    assert (home.archive / "song.wav").read_bytes() == first
    assert (home.archive / suffixed("song.wav", second)).read_bytes() == second
    assert server.paid["total"] == 5
    assert set(reused(home).values()) == {None}


def test_the_same_content_again_is_delivered_from_the_earlier_folder(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """However it comes again, it is paid once, its stems are equal and `reused_from` is set.

    Under another name, the same name, in another folder, in a preset of the same options, with a
    mix to be made, moved back from the archive, three at once, after a restart.
    """
    mixes = {"both": ["vocals", "instrumental"]}
    presets = {"same": {"stems": 2, "format": "wav"}, "mixed": {"stems": 2, "mixes": mixes}}
    home = Home(tmp_path, server.url, presets=presets)
    data = wav_bytes(1, seconds=SECONDS)
    drop(home.inbox / "song.wav", 1)
    with home.service() as service:
        service.wait_for_event("job.done")
        for count, name in enumerate(["other.wav", "album/song.wav", "song.wav"], 2):
            drop(home.inbox / name, 1)
            service.wait_for_event("job.done", count=count)
        drop(home.inbox / "same" / "preset.wav", 1)
        drop(home.inbox / "mixed" / "preset.wav", 1)
        service.wait_for_event("job.done", count=6)
        os.rename(home.archive / "other.wav", home.inbox / "back again.wav")
        service.wait_for_event("job.done", count=7)
    with home.service() as service:
        for name in ("a.wav", "b.wav", "c.wav"):
            drop(home.inbox / name, 1)
        service.wait_for_event("job.done", count=3)
    assert server.paid["total"] == 1
    found = reused(home)
    assert found.pop("song") is None
    assert set(found) == {
        *("other", "album/song", suffixed("song", data), "same/preset", "mixed/preset"),
        *("back again", "a", "b", "c"),
    }
    sidecars = home.sidecars()
    first = stem_hashes(home, "song")
    for folder, source in found.items():
        assert source in sidecars, folder
        hashes = stem_hashes(home, folder)
        assert {stem: hashes[stem] for stem in first} == first
        assert set(hashes) - set(first) == ({"both"} if folder.startswith("mixed/") else set())
        mine, its = sidecars[folder], sidecars["song"]
        assert mine["separation"]["job_id"] == its["separation"]["job_id"]
        assert mine["separation"]["cost_minutes"] == 0.0
        assert (mine["bpm"], mine["key"]) == (its["bpm"], its["key"])
    assert len(archived(home)) == 9  # ten deliveries, one of them twice the same file
    assert home.waiting() == []


def test_what_was_away_at_its_end_and_comes_back_is_a_new_drop(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """It passed for an original that is kept there, and was ignored for good."""
    server.scenario(job_seconds=3600)
    home = Home(tmp_path, server.url)
    song = drop(home.inbox / "song.wav", 1)
    with home.service() as service:
        wait_for(lambda: home.journal_count("separating") == 1)
        song.rename(tmp_path / "away.wav")
        server.finish()
        service.wait_for_event("job.done")
        (tmp_path / "away.wav").rename(song)
        service.wait_for_event("job.done", count=2)
    assert archived(home) == ["song.wav"]
    assert server.paid["total"] == 1


def test_three_at_once_are_paid_once(tmp_path: Path, server: ScenarioServer) -> None:
    """Copies that wait together: one is separated, the others wait for its stems."""
    home = Home(tmp_path, server.url, api={"max_concurrent": 5})
    names = ["one.wav", "two.wav", "album/three.wav"]
    for name in names:
        drop(home.inbox / name, 1)
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stdout
    assert server.paid["total"] == 1
    assert len(server.requests("post")) == 1
    origins = list(reused(home).values())
    assert len(origins) == 3
    assert origins.count(None) == 1
    assert len({tuple(stem_hashes(home, folder).items()) for folder in home.sidecars()}) == 1


def test_other_options_are_another_separation(tmp_path: Path, server: ScenarioServer) -> None:
    """The same content with 2 and 4 stems, wav and flac, is separated for each, and only once."""
    presets = {"four": {"stems": 4, "format": "wav"}, "flac": {"stems": 2, "format": "flac"}}
    home = Home(tmp_path, server.url, presets=presets)
    for name in ("song.wav", "four/song.wav", "flac/song.wav", "four/again.wav"):
        drop(home.inbox / name, 1)
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stdout
    asked = sorted((job["stems"], job["format"]) for job in server.paid["jobs"])
    assert asked == [("2", "flac"), ("2", "wav"), ("4", "wav")]
    found = reused(home)
    assert (found["song"], found["flac/song"]) == (None, None)
    # whichever of the two was first
    assert {found["four/song"], found["four/again"]} in ({None, "four/song"}, {None, "four/again"})


def _delete_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def _alter_stem(folder: Path) -> None:
    """One changed byte of the sound: the length is the same."""
    stem = folder / "song (Vocals).wav"
    data = bytearray(stem.read_bytes())
    data[len(data) // 2] ^= 1
    stem.write_bytes(data)


def _drop_sidecar(folder: Path) -> None:
    (folder / "song.stemwatch.json").unlink()


def _lose_stem(folder: Path) -> None:
    (folder / "song (Instrumental).wav").unlink()


def _hostile_sidecar(folder: Path) -> None:
    (folder / "song.stemwatch.json").write_text('{"schema": "stemwatch.sidecar/1", "stems": 3}')


@pytest.mark.parametrize("ruined", [False, True], ids=["untouched", "ruined"])
def test_the_earlier_folder_gone_or_altered_means_separating_again(
    tmp_path: Path, server: ScenarioServer, ruined: bool
) -> None:
    """A folder that is not whole any more is not reused, and left as its owner made it.

    Deleted, a stem altered or missing, a sidecar gone or damaged: paid again, as it must be.
    Untouched folders are reused, which shows that nothing else made the difference.
    """
    ruins: list[Callable[[Path], None]] = [
        *(_delete_folder, _alter_stem, _drop_sidecar, _lose_stem, _hostile_sidecar)
    ]
    home = Home(tmp_path, server.url, api={"max_concurrent": 5})
    for number, ruin in enumerate(ruins):
        drop(home.inbox / ruin.__name__ / "song.wav", number)
    with home.service() as service:
        service.wait_for_event("job.done", count=len(ruins))
        kept: dict[Path, dict[str, bytes]] = {}
        for ruin in ruins if ruined else ():
            folder = home.outbox / ruin.__name__ / "song"
            ruin(folder)
            if folder.exists():
                kept[folder] = {p.name: p.read_bytes() for p in folder.iterdir()}
        for number, ruin in enumerate(ruins):
            drop(home.inbox / ruin.__name__ / "again.wav", number)
        service.wait_for_event("job.done", count=2 * len(ruins))
        told = [event["folder"] for event in service.events("job.not_reused")]
    folders = [str(home.outbox / ruin.__name__ / "song") for ruin in ruins if ruined]
    assert sorted(told) == sorted(folders)
    again = {ruin.__name__: home.sidecars()[f"{ruin.__name__}/again"] for ruin in ruins}
    for name, sidecar in again.items():
        assert sidecar["reused_from"] == (None if ruined else f"{name}/song")
        stem_hashes(home, f"{name}/again")
    assert set(server.paid["by_sha256"].values()) == {2 if ruined else 1}
    for folder, files in kept.items():
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == files


@SEPARATE
def test_earlier_folders_that_cannot_be_read_hold_their_own_song_only(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Its stems are there, and not paid for again; it waits for its owner, all others go on.

    A link to itself stands for a folder of another account's own (0700), which root can read.
    """
    home = Home(tmp_path, server.url, watch={"settle_seconds": 0.05})

    def shut(folder: str) -> None:
        (home.outbox / folder).rename(tmp_path / folder)
        (home.outbox / folder).symlink_to(folder)

    with home.scaled_service(0.05) as service:
        for count, name in enumerate(["song.wav", "again.wav"], 1):
            drop(home.inbox / name, 1)
            service.wait_for_event("job.done", count=count)
        shut("again")
        drop(home.inbox / "third.wav", 1)
        service.wait_for_event("job.done", count=3)
        assert reused(home)["third"] == "song"  # whose folder can be read
        shut("song")
        shut("third")
        drop(home.inbox / "song.wav", 1)
        assert service.wait_for_event("job.waits")["code"] == "outbox_blocked"
        encode(home.inbox / "song.flac", 2)
        service.wait_for_event("job.done", count=4)  # beside the folder of its name
        assert home.waiting() == ["song.wav"]
        ((message, hint),) = home.rows("SELECT message, hint FROM jobs WHERE state = 'queued'")
        assert message.startswith(f"{home.outbox}/third can't be read: ")
        assert f"uid {os.geteuid()}" in hint
        (home.outbox / "song").unlink()
        (tmp_path / "song").rename(home.outbox / "song")
        service.wait_for_event("job.done", count=5)
        assert service.events("service.paused") == []
    assert server.paid["total"] == 2
    assert home.reasons() == {}


def test_what_has_the_name_in_the_outbox_is_not_overwritten(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Anything that already has the song's name in the outbox stays, folder or file."""
    home = Home(tmp_path, server.url)
    (home.outbox / "song").mkdir(parents=True)
    (home.outbox / "song" / "mine.txt").write_text("mine")
    (home.outbox / "file").write_text("mine too")
    (home.outbox / "dangling").symlink_to("nowhere")
    for number, name in enumerate(["song.wav", "file.wav", "dangling.wav"]):
        drop(home.inbox / name, number)
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stdout
    expected = {
        suffixed(name, wav_bytes(number, seconds=SECONDS))
        for number, name in enumerate(["song", "file", "dangling"])
    }
    assert set(home.sidecars()) == expected
    assert [p.name for p in (home.outbox / "song").iterdir()] == ["mine.txt"]
    assert (home.outbox / "file").read_text() == "mine too"
    assert (home.outbox / "dangling").is_symlink()


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"reset": "end", "accept": True}, "submission_unconfirmed"),
        ({}, "bad_stem"),
    ],
    ids=["unconfirmed", "undeliverable"],
)
def test_a_copy_of_what_may_be_paid_for_is_not_paid_by_itself(
    tmp_path: Path, server: ScenarioServer, step: dict[str, Any], code: str
) -> None:
    """The first copy may have been charged and ends in quarantine; the others don't replace it.

    They waited for its stems, go to quarantine too, and say which one to decide about.
    """
    server.scenario(post=[step], download=[{"status": 200, "body": "no audio", "times": "ever"}])
    home = Home(tmp_path, server.url)
    for name in ("one.wav", "two.wav", "three.wav"):
        drop(home.inbox / name, 1)
    with home.scaled_service(0.02) as service:
        service.wait_for_event("job.quarantined", count=3)
        wait_for(lambda: len(home.reasons()) == 3)
    codes = sorted(reason["code"] for reason in home.reasons().values())
    if server.wire == "presigned":
        code = "bad_stem"  # the unanswered one is found in the list, and then not deliverable
    assert codes == sorted([code, "duplicate_in_quarantine", "duplicate_in_quarantine"])
    assert server.paid["total"] == 1
    assert len(server.requests("post")) == 1
    held = [r for r in home.reasons().values() if r["code"] == "duplicate_in_quarantine"]
    assert all("stemwatch retry" in reason["hint"] for reason in held)


def test_a_copy_of_what_the_api_refused_is_still_tried(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """A refusal (422) charged nothing: it holds nobody back."""
    server.scenario(post=[{"status": 422}])
    home = Home(tmp_path, server.url)
    drop(home.inbox / "one.wav", 1)
    with home.service() as service:
        service.wait_for_event("job.quarantined")
        drop(home.inbox / "two.wav", 1)
        service.wait_for_event("job.done")
    assert list(home.sidecars()) == ["two"]
    assert server.paid["total"] == 1
