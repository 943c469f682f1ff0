"""Presets and folders: one means the other whatever the capitals, or the form of an accent."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from stemwatch.config import load
from stemwatch.config.groups.presets import make_folders, near_miss
from stemwatch.config.settings import Inbox, Separation
from stemwatch.job import Options
from tests.support.configured import faults_of

NFD = unicodedata.normalize("NFD", "fête")
MP3 = Separation(format="mp3")


@pytest.mark.parametrize(
    ("folder", "preset"),
    [("Karaoke", "karaoke"), ("karaoke", "KARAOKE"), (NFD, "fête"), (NFD.upper(), "fête"),
     ("STRASSE", "straße"), ("karaoke", "karaoke")],
)  # fmt: skip
def test_a_folder_means_its_preset(folder: str, preset: str) -> None:
    inbox = Inbox(presets={preset: MP3})
    assert inbox.options_for(f"{folder}/a.wav").format == "mp3"
    assert inbox.options_for(f"x{folder}/a.wav").format == "wav"
    assert inbox.options_for(folder).format == "wav"  # a file of that name


def test_a_name_that_is_not_utf8_means_none() -> None:
    assert Inbox(presets={"a": MP3}).options_for("a\udcff/a.wav").format == "wav"


def test_presets_that_mean_one_folder_are_a_fault(tmp_path: Path) -> None:
    text = f"presets: {{karaoke: {{}}, Karaoke: {{}}, fête: {{}}, {NFD}: {{}}}}\n"
    told = "\n".join(faults_of(tmp_path, text, {"HOME": str(tmp_path)}))
    assert "presets.Karaoke: means the same folder as the preset 'karaoke'" in told
    assert f"presets.{NFD}: means the same folder as the preset 'fête'" in told


STEM_FILE = "a stem file (separation.stem_file) holds drums, bass, other and vocals, and 2 stems "


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("separation: {stem_file: alac}", "1: separation.stem_file"),
        ("separation: {stem_file: aac}\npresets: {a: {}, b: {format: mp3}}",
         "1: separation.stem_file"),
        ("presets: {a: {stem_file: aac}}", "1: presets.a.stem_file"),
        ("separation: {stems: 2}\npresets: {a: {stem_file: aac}}", "2: presets.a.stem_file"),
        ("separation: {stems: 6}\npresets: {a: {stems: 2, stem_file: aac}}",
         "2: presets.a.stem_file"),
        ("inboxes: {dj: {presets: {a: {stem_file: aac}}}}", "1: inboxes.dj.presets.a.stem_file"),
    ],
)  # fmt: skip
def test_no_stem_file_is_made_of_two_stems(tmp_path: Path, text: str, key: str) -> None:
    """Said once, where it stands, with the key that mends it."""
    (told,) = faults_of(tmp_path, text, {"HOME": str(tmp_path)})
    stems = key.split(": ")[1].replace("stem_file", "stems")
    assert told == (
        f"{key}: {STEM_FILE}(separation.stems) don't give them; set {stems} to 4 or 6, or this to "
        "null."
    )


def test_a_preset_of_two_stems_takes_over_no_stem_file(tmp_path: Path) -> None:
    """As it takes over no mix that it can't make; others do."""
    path = tmp_path / "stemwatch.yaml"
    path.write_text(
        "separation: {stems: 4, stem_file: alac}\n"
        "presets: {karaoke: {stems: 2}, six: {stems: 6}, small: {stem_file: aac}, "
        "none: {stem_file: null}}\n"
        "inboxes: {dj: {}, plain: {separation: {stems: 2}}}\n"
    )
    settings = load(str(path), env={"HOME": str(tmp_path)})
    found = {name: preset.stem_file for name, preset in settings.presets.items()}
    assert found == {"karaoke": None, "six": "alac", "small": "aac", "none": None}
    dj, plain = settings.every_inbox
    assert dj.options_for("a.wav") == Options(4, "wav", {}, "alac")
    assert dj.options_for("karaoke/a.wav") == Options(2, "wav", {}, None)
    assert plain.options_for("a.wav") == Options(2, "wav", {}, None)


def test_a_mix_is_checked_against_the_stems_that_a_preset_takes_over(tmp_path: Path) -> None:
    """Else the song is paid for, and its mix can't be made."""
    text = "separation: {stems: 2}\npresets: {a: {mixes: {x: [drums, bass]}}}"
    told = faults_of(tmp_path, text, {"HOME": str(tmp_path)})
    assert told == (
        "2: presets.a.mixes.x: there is no stem 'drums', 'bass'; 2 stems give vocals, "
        "instrumental.",
    )


def test_no_second_folder_is_made(tmp_path: Path) -> None:
    """Only for presets that no folder means."""
    for name in ("Karaoke", NFD):
        (tmp_path / name).mkdir()
    for _ in range(2):
        make_folders(str(tmp_path), ("karaoke", "fête", "live"))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["Karaoke", NFD, "live"])


@pytest.mark.parametrize(
    ("folder", "near"),
    [("karoke", "karaoke"), ("Karaoke ", "karaoke"), ("karaokes", "karaoke"), ("Karaoke", None),
     ("album", None), ("live", None), ("a\udcff", None)],
)  # fmt: skip
def test_a_slip_of_the_pen_is_seen(folder: str, near: str | None) -> None:
    told = near_miss(f"{folder}/a.mp3", ("karaoke", "live"))
    assert (told is None) == (near is None)
    assert near is None or f"is {near!r} meant" in (told or "")
    assert near_miss("karoke.mp3", ("karaoke",)) is None
