"""A stem file in the inbox: its own stems are delivered, and the API is asked for nothing."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import drop
from tests.support import stem_files
from tests.support.encoded import decoded_as_is
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

QUICK = {"settle_seconds": 0.05}
AWAY = "http://127.0.0.1:9/v1"
NAME = "Artist - Title.stem.m4a"
TAGS = {"\xa9nam": ["Title"], "\xa9ART": ["Artist"], "tmpo": [124]}
TAGS["----:com.apple.iTunes:initialkey"] = [b"8A"]  # type: ignore[list-item]


def held(now: datetime) -> dict[str, dict[str, Any]]:
    """A budget that is used up, and hours that begin later."""
    begin, end = (f"{(now + timedelta(hours=h)).hour:02}:00" for h in (2, 3))
    return {"budget": {"minutes_per_day": 0.01}, "schedule": {"submit": f"{begin}-{end}"}}


def sounds_of(home: Home, folder: str) -> dict[str, np.ndarray]:
    """The samples of each file that the sidecar names, by its id."""
    stems = home.sidecars()[folder]["stems"]
    return {one["id"]: decoded_as_is(home.outbox / folder / one["file"]) for one in stems}


def test_its_stems_are_delivered_whatever_holds_paid_calls_back(tmp_path: Path) -> None:
    """The sidecar says that nothing was separated; an ordinary song beside it waits."""
    with ScenarioServer(key=KEY) as server:
        mixes = {
            "backing": ["drums", "bass", "other", "guitar", "piano"],
            "band": ["bass", "guitar"],
        }
        six = {"stems": 6, "mixes": mixes, "stem_file": "alac"}
        home = Home(tmp_path, server.url, watch=QUICK, separation=six, **held(datetime.now()))
        assert home.command("pause").returncode == 0
        drums, bass, other, vocals = stem_files.sounds()
        told = stem_files.manifest(("VOX", "Synths", "drums", "Bass"))
        with home.service() as service:
            drop(home.inbox / "song.wav")
            stem_files.write(home.inbox / NAME, [vocals, other, drums, bass], told=told, tags=TAGS)
            service.wait_for_event("job.done")
            (note,) = service.events("job.four_stems")
            assert home.waiting() == ["song.wav"]
        assert server.log == []
    assert "band" in note["note"]
    assert "backing" not in note["note"]
    assert home.rows("SELECT count(*) FROM spend") == [(0,)]
    assert "free" in home.command("history", "-c", str(home.config)).stdout
    assert (home.archive / NAME).is_file()
    ((folder, car),) = home.sidecars().items()
    assert folder == "Artist - Title"
    assert (car["bpm"], car["key"]["camelot"]) == (124.0, "8A")
    assert (car["source"]["name"], car["source"]["codec"]) == (NAME, "alac")
    assert car["separation"] == {
        "engine": "stem-file",
        "stems": 4,
        "format": "wav",
        "cost_minutes": 0.0,
        **dict.fromkeys(("model", "model_sha256", "job_id", "uploaded")),
        **dict.fromkeys(("submitted_at", "completed_at", "credits_charged")),
    }
    assert car["stem_file"]["file"] == NAME
    files = [(one["id"], one["file"]) for one in car["stems"]]
    assert files[0] == ("vocals", "Artist - Title (Vocals).wav")
    found = sounds_of(home, folder)
    wanted = {"vocals": vocals, "drums": drums, "bass": bass, "other": other}
    assert {name: np.array_equal(sound, found[name]) for name, sound in wanted.items()} == (
        dict.fromkeys(wanted, True)
    )
    assert np.array_equal(found["backing"], drums + bass + other)


def test_a_kill_amid_unpacking_leaves_no_half_result(tmp_path: Path) -> None:
    """The next run delivers it once; the same file again is reused, also with the server away."""
    home = Home(tmp_path, AWAY, watch=QUICK)
    staged = home.outbox / ".stemwatch"
    stems = stem_files.sounds(seconds=20)
    with home.service() as service:
        stem_files.write(tmp_path / NAME, stems, tags=TAGS).rename(home.inbox / NAME)
        wait_for(lambda: any(staged.glob("*/vocals.wav.part")), every=0.001)
        service.kill()
    assert home.sidecars() == {}
    assert (home.inbox / NAME).is_file()
    shutil.copy(home.inbox / NAME, home.inbox / "Again.stem.m4a")
    home.configure(AWAY, watch=QUICK, log={"format": "console", "level": "info"})
    done = home.command("run", "--once", "-c", str(home.config))
    assert done.returncode == 0, done.stderr
    assert "from its own stems" in done.stderr
    assert "with its stems: nothing to pay" in done.stderr
    first, second = home.sidecars()["Artist - Title"], home.sidecars()["Again"]
    assert sorted([first["reused_from"], second["reused_from"]], key=str)[1] is None
    assert second["separation"]["engine"] == "stem-file"
    found = sounds_of(home, "Artist - Title")
    drums, bass, other, vocals = stems
    assert np.array_equal(found["vocals"], vocals)
    assert np.array_equal(found["instrumental"], drums + bass + other)
    assert not any(staged.iterdir())
    done = home.command("again", "Again.stem.m4a", "-c", str(home.config))
    assert "is unpacked anew" in done.stdout, done.stdout + done.stderr
    assert home.command("run", "--once", "-c", str(home.config)).returncode == 0
    assert len(home.sidecars()) == 3
    shutil.rmtree(home.state)
    shutil.move(home.archive / NAME, home.inbox / "Third.stem.m4a")
    assert home.command("run", "--once", "-c", str(home.config)).returncode == 0
    assert home.sidecars()["Third"]["reused_from"] is not None


def test_one_that_is_taken_back_amid_unpacking_is_gone(tmp_path: Path) -> None:
    home = Home(tmp_path, AWAY, watch=QUICK, separation={"stems": 4})
    staged = home.outbox / ".stemwatch"
    with home.service() as service:
        stem_files.write(tmp_path / NAME, stem_files.sounds(seconds=12)).rename(home.inbox / NAME)
        wait_for(lambda: any(staged.glob("*/vocals.wav.part")), every=0.001)
        (home.inbox / NAME).unlink()
        assert "taken back" in service.wait_for_event("job.gone")["reason"]
        wait_for(lambda: not any(staged.iterdir()))
    assert home.sidecars() == home.reasons() == {}


def test_the_commands_say_that_nothing_is_paid(tmp_path: Path) -> None:
    """`estimate` and `split`; a file that is only named so is a song, a damaged one is refused."""
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url, watch=QUICK)
        sounds = stem_files.sounds(seconds=6)
        song = stem_files.write(tmp_path / NAME, sounds)
        estimate = home.command("estimate", str(song))
        assert "its own stems are unpacked" in estimate.stdout
        assert "To pay: 0.00 minutes" in estimate.stdout
        done = home.command("split", str(song), "-o", str(tmp_path / "out"), "--stems", "4")
        assert done.returncode == 0, done.stderr
        assert "its own stems: nothing was paid" in done.stdout + done.stderr
        assert len(list((tmp_path / "out" / "Artist - Title").glob("*.wav"))) == 4
        assert server.log == []
        with home.service() as service:
            stem_files.write(home.inbox / "Song.stem.mp4", sounds, told=None)
            sounds[0] = sounds[0][:44_100]
            stem_files.write(home.inbox / "Early.stem.m4a", sounds)
            service.wait_for_event("job.delivered")
            service.wait_for_event("job.quarantined")
            wait_for(home.reasons)  # it is written after the event
        assert server.paid["total"] == 1
    assert home.sidecars()["Song"]["separation"]["engine"] == "stemsplit"
    reason = home.reasons()["Early.stem.m4a"]
    assert reason["code"] == "truncated"
    assert "drums track ends at 1.0 s of 6.0 s" in reason["message"]
