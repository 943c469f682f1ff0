"""`estimate` on real audio: minutes, cost, refusals, and what is known already."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from stemwatch.job import JobState, Options, content_key
from stemwatch.outbox.measuring import measure
from tests.support.audio_samples import tone, write
from tests.support.commands import Home, a_job
from tests.support.retag import retag
from tests.support.scenario.stems import wav_header

TONE = tone(6.0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, "budget: {price_per_minute: 10, minutes_per_day: 5, currency: EUR}")


def test_a_folder_is_added_up_and_refusals_are_explained(home: Home) -> None:
    """Songs cost, the same content twice costs once, junk is passed over, text is refused."""
    music = home.root / "music"
    (music / "sub").mkdir(parents=True)
    song = write(music / "a.wav", TONE)
    (music / "sub" / "copy.wav").write_bytes(song.read_bytes())
    (music / "text.mp3").write_text("not audio at all " * 500)
    (music / ".hidden.mp3").write_text("junk")
    (music / "notes.txt").write_text("junk")
    told = home.run("estimate", "music")
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert f"    0.10 min      1.00 EUR  {song}" in lines
    assert [line for line in lines if "copy.wav" in line and "free" in line]
    assert [line for line in lines if "text.mp3" in line and "refused" in line]
    assert "3 files, 1 refused, 1 free; 0.20 minutes of audio in all." in lines
    assert "To pay: 0.10 minutes, 1.00 EUR (at 10.00 EUR a minute)." in lines
    assert [line for line in lines if line.startswith("Budget left: 5.00 minutes")]
    assert "junk" not in told.stdout
    assert not home.database.exists()
    alone = home.run("estimate", "music/notes.txt")
    assert alone.returncode == 1
    assert "(notes.txt is no song's name: it must end in one of " in alone.stdout


def test_what_was_separated_before_is_free(home: Home) -> None:
    """The journal knows the content with these options; other options are paid for."""
    song = write(home.root / "a.wav", TONE)
    sha256 = hashlib.sha256(song.read_bytes()).hexdigest()
    key = content_key(sha256, Options(), local=False)
    home.journal(a_job("earlier.mp3", state=JobState.DONE, content_key=key, sha256=sha256))
    told = home.run("estimate", "a.wav")
    assert "free" in told.stdout
    assert "known already as earlier.mp3 (done)" in told.stdout


def test_what_was_separated_under_other_tags_is_free(home: Home) -> None:
    """Its sound is known, whatever was written into the file since; twice in a list as well."""
    song = write(home.root / "a.wav", TONE)
    sound = measure(os.fspath(song)).audio_sha256
    assert sound is not None
    twin = retag(shutil.copyfile(song, home.root / "b.wav"), "New")
    told = home.run("estimate", "a.wav", "b.wav")
    assert "the same content is in this list already" in told.stdout
    key = content_key(sound, Options(), local=False)
    home.journal(a_job("earlier.mp3", state=JobState.DONE, content_key=key, audio_sha256=sound))
    told = home.run("estimate", twin.name)
    assert "known already as earlier.mp3 (done)" in told.stdout
    more = home.config.read_text() + "separation: {stems: 4}\n"
    home.config.write_text(more)
    assert "free" not in home.run("estimate", "a.wav").stdout.splitlines()[0]


def test_too_large_and_nothing_usable(home: Home) -> None:
    """A file over the API's limit is refused where it goes as it is; exit 1 if nothing is left."""
    with open(home.root / "big.wav", "wb") as file:
        file.write(wav_header(101 * 2**18 - 11))
        file.truncate(101 * 2**20)
    told = home.run("estimate", "big.wav")
    assert told.returncode == 0
    assert "To upload: about 68.8 MB; 1 file as FLAC (prepare.upload)." in told.stdout
    home.config.write_text(home.config.read_text() + "\nprepare: {upload: original}\n")
    told = home.run("estimate", "big.wav")
    assert told.returncode == 1
    assert "it has 101.0 MB; files of up to 100 MB are taken." in told.stdout
    (home.root / "empty").mkdir()
    assert home.run("estimate", "empty").returncode == 1
    assert home.run("estimate", "missing.wav").returncode == 2


def test_what_is_too_short_is_refused_as_the_service_would(home: Home) -> None:
    """Below a second everywhere, this machine too; wire B takes five seconds and more."""
    write(home.root / "sample.wav", TONE[:1])
    write(home.root / "short.wav", TONE[: 3 * 44100])
    plain = home.config.read_text()
    refused = {}
    for api in ("wire: separate", "base_url: local", "wire: presigned"):
        home.config.write_text(f"{plain}api: {{{api}}}\n")
        told = home.run("estimate", "sample.wav", "short.wav").stdout.splitlines()
        refused[api] = [
            line.partition("it lasts ")[2].rstrip(")") for line in told if "refused  " in line
        ]
    least, five = "0.000 s; only songs of 1 s and more are taken.", "only songs of 5 s and more"
    assert refused["wire: separate"] == refused["base_url: local"] == [least]
    assert [words.partition("; ")[2] for words in refused["wire: presigned"]] == [
        f"{five} are taken."
    ] * 2


def test_this_machine_costs_nothing_and_presets_count(home: Home) -> None:
    """Local separation is free; a name that is not UTF-8 is printed safely."""
    home.config.write_text(home.config.read_text() + "api: {base_url: local}\n")
    song = write(home.root / "a.wav", TONE)
    os.rename(song, home.root / "b\udcff.wav")
    told = home.run("estimate", ".")
    assert told.returncode == 0
    assert "b\\xff.wav" in told.stdout
    assert "To pay: 0.00 minutes" in told.stdout


def test_the_inbox_decides_on_options_and_limits(home: Home) -> None:
    """By the path or by --inbox; what was separated before is free only with its options."""
    home.config.write_text(
        "state_dir: state\nbudget: {minutes_per_day: 5}\n"
        "inboxes: {dj: {separation: {stems: 4}, budget: {minutes_per_day: 3}}, karaoke: {}}\n"
    )
    song = write(home.root / "a.wav", TONE)
    sha256 = hashlib.sha256(song.read_bytes()).hexdigest()
    key = content_key(sha256, Options(stems=4), local=False)
    home.journal(a_job("earlier.mp3", state=JobState.DONE, content_key=key, sha256=sha256))
    dj = home.run("estimate", "--inbox", "dj", "a.wav").stdout
    assert "free" in dj.splitlines()[0]
    assert "Budget left: 3.00 minutes (inboxes.dj.budget.minutes_per_day)" in dj
    karaoke = home.run("estimate", "--inbox", "karaoke", "a.wav").stdout
    assert "free" not in karaoke.splitlines()[0]
    assert "Budget left: 5.00 minutes (budget.minutes_per_day)" in karaoke
    unknown = home.run("estimate", "--inbox", "jd", "a.wav")
    assert (unknown.returncode, "there are dj, karaoke" in unknown.stderr) == (2, True)
