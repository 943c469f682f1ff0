"""What a delivered song looks like: folders, stems, tags, sidecar, and what the API was sent."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import mutagen.flac
import mutagen.id3
import mutagen.mp3
import mutagen.wave
import pytest

from stemwatch import __version__
from stemwatch.outbox.measuring import measure
from tests.acceptance.harness import EITHER, KEY, Home
from tests.acceptance.songs import drop, encode
from tests.support.clustered import scripted
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

STEMS = {
    2: ["vocals", "instrumental"],
    4: ["vocals", "drums", "bass", "other"],
    6: ["vocals", "drums", "bass", "other", "guitar", "piano"],
}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
# The sidecar, as docs/sidecar.md has it.
KEYS = {
    "schema": str,
    "bpm": float,
    "key": dict,
    "own": dict,
    "tuning_cents": None,  # what the API does not tell: see test_heard
    "tempo_confidence": None,
    "key_confidence": None,
    "first_beat_seconds": None,
    "duration_seconds": float,
    "source": dict,
    "separation": dict,
    "stems": list,
    "stem_file": None,
    "reused_from": None,
    "created_at": str,
    "stemwatch": str,
}
SOURCE_KEYS = {
    "name",
    "relpath",
    "sha256",
    "audio_sha256",
    "bytes",
    "codec",
    "sample_rate",
    "channels",
}
SEPARATION_KEYS = {
    "engine",
    "model",
    "model_sha256",
    "job_id",
    "stems",
    "format",
    "uploaded",
    "submitted_at",
    "completed_at",
    "cost_minutes",
    "credits_charged",  # what wire B says it took
}
STEM_KEYS = {"id", "file", "sha256", "audio_sha256", "bytes", "derived_from", "gain_db"} | {
    *("loudness_lufs", "true_peak_dbtp", "active_share")
}


def run_once(home: Home, expected: int = 0, *, timeout: float = 60.0) -> None:
    """Work off the inbox and check the exit code."""
    done = home.command("run", "--once", "-c", str(home.config), timeout=timeout)
    assert done.returncode == expected, done.stdout + done.stderr


def assert_whole(folder: Path, sidecar: dict[str, Any]) -> None:
    """The folder holds the stems that its sidecar names, with their hashes, and nothing else."""
    named = {stem["file"] for stem in sidecar["stems"]}
    assert {entry.name for entry in folder.iterdir()} == {*named, f"{folder.name}.stemwatch.json"}
    for stem in sidecar["stems"]:
        data = (folder / stem["file"]).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (stem["sha256"], stem["bytes"])


@pytest.mark.timeout(400)
def test_stems_and_formats_go_as_text_fields_and_come_back_as_asked(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """2, 4, 6 stems x wav, flac, mp3, each by its preset folder, mirrored in the outbox."""
    wanted = {
        f"{stems}-{format_}": {"stems": stems, "format": format_}
        for stems in (2, 4, 6)
        for format_ in ("wav", "flac", "mp3")
    }
    home = Home(tmp_path, server.url, presets=wanted, api={"max_concurrent": 5})
    for number, preset in enumerate(wanted):
        drop(home.inbox / preset / "album" / "song.wav", number)
    run_once(home, timeout=150)
    asked = {
        request["sha256"]: request["fields"] for request in server.requests("post")
    }  # what the multipart's text fields said
    sidecars = home.sidecars()
    assert sorted(sidecars) == sorted(f"{preset}/album/song" for preset in wanted)
    for preset, options in wanted.items():
        folder = home.outbox / preset / "album" / "song"
        sidecar = sidecars[f"{preset}/album/song"]
        stems, format_ = options["stems"], options["format"]
        assert asked[sidecar["source"]["sha256"]] == {"stems": str(stems), "format": format_}
        assert [stem["id"] for stem in sidecar["stems"]] == STEMS[int(str(stems))]
        assert_whole(folder, sidecar)
        labels = [f"song ({name.title()}).{format_}" for name in STEMS[int(str(stems))]]
        assert [stem["file"] for stem in sidecar["stems"]] == labels


@EITHER
def test_a_preset_makes_its_mix_and_other_folders_do_not(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """A preset with 6 stems, flac and an instrumental; a plain subfolder keeps the defaults."""
    parts = ["drums", "bass", "other", "guitar", "piano"]
    preset = {"stems": 6, "format": "flac", "mixes": {"instrumental": parts}}
    home = Home(tmp_path, server.url, presets={"karaoke": preset})
    drop(home.inbox / "karaoke" / "song.wav", 1)
    drop(home.inbox / "album" / "karaoke" / "song.wav", 2)  # not first-level: no preset
    run_once(home)
    sidecars = home.sidecars()
    mixed, plain = sidecars["karaoke/song"], sidecars["album/karaoke/song"]
    derived = {stem["id"]: stem["derived_from"] for stem in mixed["stems"]}
    assert derived == {**dict.fromkeys(STEMS[6]), "instrumental": parts}
    assert (home.outbox / "karaoke" / "song" / "song (Instrumental).flac").is_file()
    assert_whole(home.outbox / "karaoke" / "song", mixed)
    assert [stem["id"] for stem in plain["stems"]] == STEMS[2]
    assert plain["separation"]["format"] == "wav"


@scripted
def test_the_sidecar_is_what_the_design_says(tmp_path: Path, server: ScenarioServer) -> None:
    """Every key and no other, with its type; values from the file, the API and the clock."""
    home = Home(tmp_path, server.url)
    song = encode(home.inbox / "album" / "Song.mp3", seconds=6)
    data = song.read_bytes()
    run_once(home)
    ((folder, sidecar),) = home.sidecars().items()
    assert folder == "album/Song"
    assert list(sidecar) == list(KEYS)
    for key, kind in KEYS.items():
        assert isinstance(sidecar[key], kind or type(None)), key
    assert set(sidecar["source"]) == SOURCE_KEYS
    assert set(sidecar["separation"]) == SEPARATION_KEYS
    assert all(set(stem) == STEM_KEYS for stem in sidecar["stems"])
    assert sidecar["schema"] == "stemwatch.sidecar/2"
    assert sidecar["bpm"] == 124.0
    assert sidecar["key"] == {
        "raw": "C#m" if server.wire == "presigned" else "C# minor",
        "tonic": "C#",
        "mode": "minor",
        "camelot": "12A",
        "open_key": "5m",
    }
    assert sidecar["duration_seconds"] == pytest.approx(6.0, abs=0.1)
    assert sidecar["source"] == {
        "name": "Song.mp3",
        "relpath": "album/Song.mp3",
        "sha256": hashlib.sha256(data).hexdigest(),
        "audio_sha256": measure(f"{home.archive}/album/Song.mp3").audio_sha256,
        "bytes": len(data),
        "codec": "mp3",
        "sample_rate": 44100,
        "channels": 2,
    }
    (paid,) = server.paid["jobs"]
    separation = sidecar["separation"]
    assert separation["engine"] == "stemsplit"
    assert separation["job_id"] == paid["id"]
    assert (separation["stems"], separation["format"]) == (2, "wav")
    assert separation["uploaded"] == {"codec": "mp3", "bytes": len(data)}
    assert separation["cost_minutes"] == pytest.approx(6 / 60, abs=0.002)
    times = [separation["submitted_at"], separation["completed_at"], sidecar["created_at"]]
    assert all(RFC3339.fullmatch(time) for time in times)
    assert times == sorted(times)
    assert separation["credits_charged"] == (6 if server.wire == "presigned" else None)
    assert [stem["derived_from"] for stem in sidecar["stems"]] == [None, None]
    for stem in sidecar["stems"]:  # a sine of 3,000 in 32,768, in both channels
        assert stem["true_peak_dbtp"] == pytest.approx(-20.77, abs=0.05)
        assert stem["loudness_lufs"] == pytest.approx(-21.5, abs=1.0)
        assert stem["active_share"] == 1.0
    assert sidecar["stemwatch"] == __version__


@pytest.fixture(scope="module")
def told_differently(
    tmp_path_factory: pytest.TempPathFactory, wire: str
) -> dict[str, tuple[Path, Any]]:
    """Songs whose answers had odd tempos and keys: their folders and sidecars, by song."""
    answers = {
        "null": {"merge": {"bpm": None, "key": None}},
        "missing": {"drop": ["bpm", "key", "duration_seconds"]},
        "unparsable": {"merge": {"key": "H moll"}},
    }
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        home = Home(tmp_path_factory.mktemp("told"), server.url)
        with home.service() as service:
            for number, (name, step) in enumerate(answers.items(), 1):
                server.scenario(get=[{**step, "times": "ever"}])
                drop(home.inbox / f"{name}.wav", number)
                service.wait_for_event("job.done", count=number)
    return {name: (home.outbox / name, sidecar) for name, sidecar in home.sidecars().items()}


@pytest.mark.parametrize(
    ("song", "bpm", "key"),
    [("null", None, None), ("missing", None, None), ("unparsable", 124.0, "H moll")],
)
def test_unknown_tempo_and_key_are_explicit_nulls(
    told_differently: dict[str, tuple[Path, Any]], song: str, bpm: float | None, key: str | None
) -> None:
    """The keys stay in the sidecar; an unparsable musical key keeps `raw` and nulls the rest."""
    folder, sidecar = told_differently[song]
    assert list(sidecar) == list(KEYS)
    assert sidecar["bpm"] == bpm
    rest = dict.fromkeys(("tonic", "mode", "camelot", "open_key"))
    assert sidecar["key"] == (None if key is None else {"raw": key, **rest})
    tags = mutagen.wave.WAVE(folder / f"{song} (Vocals).wav").tags
    assert tags is not None
    assert "TKEY" not in tags
    assert ("TBPM" in tags) == (bpm is not None)


COVER = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


def _tagged_mp3(path: Path) -> None:
    encode(path)
    tags = mutagen.id3.ID3()
    for frame in ("TIT2", "TPE1", "TALB"):
        tags.add(getattr(mutagen.id3, frame)(encoding=3, text=[f"Größe {frame}"]))
    tags.add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=COVER))
    tags.save(path)


@EITHER
@scripted
def test_tags_and_cover_are_copied_with_tempo_and_key(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Artist, album and cover go into wav, flac and mp3 stems; so does the title, with the stem."""
    presets = {name: {"stems": 2, "format": name} for name in ("wav", "flac", "mp3")}
    home = Home(tmp_path, server.url, presets=presets)
    for name in presets:
        (home.inbox / name).mkdir()
        _tagged_mp3(home.inbox / name / "song.mp3")
    run_once(home)
    stems = {name: home.outbox / name / "song" / f"song (Vocals).{name}" for name in presets}
    wave = mutagen.wave.WAVE(stems["wav"]).tags
    for tags in (wave, mutagen.id3.ID3(stems["mp3"])):
        assert tags is not None
        told = {frame: str(tags[frame]) for frame in ("TIT2", "TPE1", "TALB", "TBPM", "TKEY")}
        assert told == {
            "TIT2": "Größe TIT2 (Vocals)",
            "TPE1": "Größe TPE1",
            "TALB": "Größe TALB (Stems)",
            "TBPM": "124",
            "TKEY": "C#m",
        }
        assert tags.getall("APIC")[0].data == COVER
    flac = mutagen.flac.FLAC(stems["flac"])
    assert (flac["title"], flac["artist"]) == (["Größe TIT2 (Vocals)"], ["Größe TPE1"])
    assert (flac["bpm"], flac["initialkey"], flac["key"]) == (["124"], ["C#m"], ["C#m"])
    assert flac.pictures[0].data == COVER


def test_what_the_api_is_sent(tmp_path: Path, server: ScenarioServer) -> None:
    """The file's own bytes and name, a key for each intent, our name, and no key for storage."""
    home = Home(tmp_path, server.url)
    songs = [encode(home.inbox / "one.flac", 1), encode(home.inbox / "two.ogg", 2)]
    hashes = {song.name: hashlib.sha256(song.read_bytes()).hexdigest() for song in songs}
    run_once(home)
    posts = server.requests("post")
    assert {post["filename"]: post["sha256"] for post in posts} == hashes
    headers = [post["headers"] for post in posts]
    assert all(header["authorization"] == f"Bearer {KEY}" for header in headers)
    assert all(int(header["content-length"]) > 0 for header in headers)
    assert not any("transfer-encoding" in header for header in headers)
    assert len({header["idempotency-key"] for header in headers}) == 2
    agents = {entry["headers"].get("user-agent") for entry in server.log}
    assert agents == {f"stemwatch/{__version__}"}
    downloads = server.requests("download")
    assert len(downloads) == 4
    for download in downloads:
        assert "authorization" not in download["headers"]
        assert "cookie" not in download["headers"]
        assert KEY not in str(download)
    archived = (home.archive / "one.flac").read_bytes()
    assert hashlib.sha256(archived).hexdigest() == hashes["one.flac"]


@EITHER
@pytest.mark.parametrize("how", ["delete", "keep"])  # the archive: test_arrival.py
def test_the_original_is_filed_as_configured(
    tmp_path: Path, server: ScenarioServer, how: str
) -> None:
    """Deleted, or kept and not worked on again: not by later rounds, nor by another start."""
    home = Home(tmp_path, server.url, folders={"after_success": how}, watch={"rescan_seconds": 0.2})
    with home.service() as service:
        song = drop(home.inbox / "album" / "song.wav", 1)
        data = song.read_bytes()
        service.wait_for_event("job.done")
        if how == "keep":  # seen by many rounds, and by a later file's whole way
            scans = home.status()["watcher"]["scans"]
            drop(home.inbox / "next.wav", 2)
            service.wait_for_event("job.done", count=2)
            wait_for(lambda: home.status()["watcher"]["scans"] > scans + 3)
    kept = home.waiting()
    if how == "keep":
        run_once(home)  # nor by another start
        assert kept == ["album/song.wav", "next.wav"]
        assert song.read_bytes() == data
    else:
        assert kept == []
    assert not [path for path in home.archive.rglob("*") if path.is_file()]
    assert sorted(home.sidecars()) == (["album/song", "next"] if how == "keep" else ["album/song"])
    assert server.paid["total"] == len(home.sidecars())


# -- names ----------------------------------------------------------------------------------------

ODD = [
    b"line\nbreak.wav",
    "emoji \N{MULTIPLE MUSICAL NOTES}\N{FAMILY}.wav".encode(),
    b"latin1 \xe9\xff.wav",
    ("x" * 251 + ".wav").encode(),
    ("ä" * 125 + "y.wav").encode(),
    b"quote\"s and 'these'.wav",
    b"-rf.wav",
    "\u202ertl \u05e9\u05d9\u05e8.wav".encode(),
    b"back\\slash: a*b?<c>|.wav",
    b" spaces .wav",
    b"CON.wav",
    b"\x1b[31mred.wav",
    "e\u0301 composed.wav".encode(),
    b"100%s{name}.wav",
    b"..dots...wav",
    b".hidden.wav",
]
SEEN = [name for name in ODD if name != b".hidden.wav"]


@EITHER
def test_odd_names_are_delivered_and_archived_byte_for_byte(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Newline, emoji, bytes that are no UTF-8, 255 bytes, quotes, a dash, right-to-left..."""
    home = Home(tmp_path, server.url, api={"max_concurrent": 5})
    inbox = os.fsencode(home.inbox)
    for number, name in enumerate(ODD):
        drop(inbox + b"/" + name, number)
    odd_folder = b"f\xf6lder\n1/"
    drop(inbox + b"/" + odd_folder + b"in it.wav", 99)
    with home.service() as service:
        service.wait_for_event("job.done", count=len(SEEN) + 1)
        log = service.text()
    archive = os.fsencode(home.archive)
    for name in [*SEEN, odd_folder + b"in it.wav"]:
        assert os.path.isfile(archive + b"/" + name), name
    assert home.reasons() == {}
    sidecars = home.sidecars()
    assert len(sidecars) == len(SEEN) + 1
    for folder, sidecar in sidecars.items():
        folder.encode()  # names in the outbox are always UTF-8
        assert not re.search(r'[<>:"\\|?*\x00-\x1f]', folder)
        assert_whole(home.outbox / folder, sidecar)
    assert server.paid["total"] == len(SEEN) + 1
    assert "\x1b" not in log
    left = [name for name in os.listdir(inbox) if name.endswith(b".wav")]
    assert left == [b".hidden.wav"]


@EITHER
def test_what_is_no_song_is_ignored_and_untouched(tmp_path: Path, server: ScenarioServer) -> None:
    """Links, FIFOs, folders with a song's name, hidden, temporary and junk files stay as they are.

    A song inside such a folder is a song like any other.
    """
    home = Home(tmp_path, server.url)
    outside = drop(tmp_path / "outside" / "secret.wav", 90)
    ignored = [
        ".hidden.wav",
        "._song.wav",
        "dl.wav.part",
        "dl.wav",  # still in the making beside its .part
        "~$song.wav",
        "song.wav~",
        "a.sync-conflict-20240101-1.wav",
        "@eaDir/thumb.wav",
        ".Trash-1000/old.wav",
        "notes.txt",
        "cover.jpg",
    ]
    for number, name in enumerate(ignored):
        drop(home.inbox / name, number)
    (home.inbox / "link.wav").symlink_to(outside)
    (home.inbox / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    (home.inbox / "linked folder").symlink_to(outside.parent)
    os.mkfifo(home.inbox / "pipe.wav")
    (home.inbox / "empty folder.wav").mkdir()
    drop(home.inbox / "folder.mp3" / "inside.wav", 50)
    before = _listing(home.inbox)
    with home.service() as service:
        service.wait_for_event("job.done")
        drop(home.inbox / "last.wav", 51)  # those above had longer than this one to settle
        service.wait_for_event("job.done", count=2)
        events = service.events()
    assert sorted(home.sidecars()) == ["folder.mp3/inside", "last"]
    assert server.paid["total"] == 2
    assert home.reasons() == {}
    assert _listing(home.inbox) == [e for e in before if e[0] != "folder.mp3/inside.wav"]
    assert outside.read_bytes()
    assert not [event for event in events if event["level"] in ("error", "warning")]


def _listing(root: Path) -> list[tuple[str, int, int]]:
    """Every entry with its kind and size."""
    found = ((path, path.lstat()) for path in root.rglob("*"))
    return sorted(
        (str(p.relative_to(root)), s.st_mode, s.st_size if not p.is_dir() else 0) for p, s in found
    )
