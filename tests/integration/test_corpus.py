"""The comparison with an independent decoder, over a small folder of made files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stemwatch.audio.results import Probe
from stemwatch.errors import Reject
from tests.corpus.ffmpeg import Reading
from tests.corpus.run import disagreements
from tests.support import odd_files
from tests.support.audio_samples import FORMATS, cut, overwrite, tone, write
from tests.support.odd_files import encode, join

ROOT = Path(__file__).parents[2]


def compare(folder: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As a person runs it, anywhere."""
    env = os.environ | {"PYTHON": sys.executable}
    command = [ROOT / "tests/corpus/run", folder]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs the programs ffmpeg and ffprobe")
def test_the_probe_and_ffmpeg_agree(tmp_path: Path) -> None:
    """Whole, odd and damaged files of every format; the table names those where they differ."""
    deeper = tmp_path / "deeper"
    deeper.mkdir()
    for format in FORMATS:
        write(tmp_path / f"whole.{format}", tone(2))
        cut(write(deeper / f"cut.{format}"), 0.5)
    overwrite(write(tmp_path / "hole.mp3", tone(8)), 0.4, 0.2)
    odd_files.film_outlasts_sound(tmp_path / "film.webm", 2.0, 3.0)
    odd_files.add_ape_cover(write(tmp_path / "ape.mp3", tone(2)), 20_000)
    encode(tmp_path / "a.aiff", "pcm_s16be", 1.0, tags={"title": "A title"})
    parts = [
        encode(tmp_path / f"{rate}.ogg", "vorbis", 1.0, rate=rate) for rate in (32_000, 48_000)
    ]
    join(tmp_path / "chain.ogg", *parts)
    (tmp_path / "note.txt").write_text("no song\n")
    done = compare(".", tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "0 disagreements" in done.stdout
    assert "1 chained" in done.stdout


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Exit 2, as for a wrong command."""
    done = compare("/nowhere/at/all", tmp_path)
    assert (done.returncode, "/nowhere/at/all is no folder" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("ours", "about"),
    [
        (Probe(10.05, "mp3", 44_100, 2), []),
        (Probe(10.2, "mp3", 44_100, 2), ["length"]),
        (Probe(10.0, "mp3", 48_000, 1), ["channels", "rate"]),
        (Reject("'a' is damaged.", code="corrupt", hint=""), ["damaged"]),
        (Reject("'a' is a chain.", code="chained", hint=""), []),
    ],
)
def test_what_differs_is_a_row(ours: Probe | Reject, about: list[str]) -> None:
    """One for each kind; a refusal by rule is none."""
    theirs = Reading("mp3", "mp3", 44_100, 2, 10.0, tags={"title": "A title"})
    assert [row.about for row in disagreements("a", ours, {"title"}, theirs)] == about


def test_what_does_not_decode_and_what_only_they_read_are_rows() -> None:
    """An accepted file is one that plays, and its texts are ours too."""
    ours = Probe(10.0, "mp3", 44_100, 2)
    silent = Reading("mp3", "mp3", 44_100, 2)
    assert [row.about for row in disagreements("a", ours, set(), silent)] == ["damaged"]
    tagged = Reading("mp3", "mp3", 44_100, 2, 10.0, tags={"title": "A title"})
    assert [row.about for row in disagreements("a", ours, set(), tagged)] == ["tags"]
