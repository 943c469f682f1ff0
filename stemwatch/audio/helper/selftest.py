"""Does this installation encode, decode, mix and tag? A second of made sound tells.

What it can't do with that, it can do with no song: none of them is to blame then.
Helper process only: this module imports PyAV, numpy and mutagen.
"""

from __future__ import annotations

import os

import numpy as np

from stemwatch.audio.codec import Encoder, decode
from stemwatch.audio.mix import mix
from stemwatch.audio.preparing.exact_flac import prepare
from stemwatch.audio.results import StemTag
from stemwatch.audio.stemtags import write_tags
from stemwatch.audio.tagging.song_tags import SourceTags
from stemwatch.audio.tags import read_tags
from stemwatch.audio.verify import verify
from stemwatch.errors import StemwatchError

_FORMATS = ("wav", "flac", "mp3")
_RATE = 44_100
_NEAR = 0.02  # of the level: what MP3 may do to a tone
_TITLE = "Made"


def self_test(folder: str) -> None:
    """Write, check, mix, tag and read one file of each format in `folder`, an empty one.

    Raises whatever a broken library raises, StemwatchError where the sound comes back as another.
    """
    sound = _tone()
    for format in _FORMATS:
        path = os.path.join(folder, f"made.{format}")
        with Encoder(path, format, rate=_RATE) as encoder:
            encoder.write(sound)
        mixed = os.path.join(folder, f"mixed.{format}")
        mix([path], mixed, format)
        if format == "wav":
            _prepare(path, os.path.join(folder, "prepared.flac"))
        for made in (path, mixed):
            verify(made, expected=1.0, format=format)
            _compare(made, sound)
        _tag(path, format)


def _tone() -> np.ndarray:
    time = np.arange(_RATE) / _RATE
    return np.stack([np.sin(2 * np.pi * hz * time) * 0.5 for hz in (220, 330)], 1).astype("f4")


def _compare(path: str, sound: np.ndarray) -> None:
    found = np.concatenate(list(decode(path, rate=_RATE)))
    if found.shape != sound.shape or not np.allclose(found.std(0), sound.std(0), rtol=_NEAR):
        raise _other(path, f"{found.shape[0]} samples at a level of {found.std():.3f}")


def _prepare(path: str, target: str) -> None:
    if not prepare(path, target).exact:
        raise _other(target, "another sound than it was made of")


def _tag(path: str, format: str) -> None:
    note = write_tags(path, format, SourceTags(), StemTag(_TITLE), bpm=120.0, key="Am")
    tags = read_tags(path)
    if note or tags.note or tags.text.get("title") != (_TITLE,):
        raise _other(path, note or tags.note or f"the tags {dict(tags.text)}")


def _other(path: str, what: str) -> StemwatchError:
    name = os.path.basename(path)
    return StemwatchError(f"{name}, a made second of sound, came back as another: {what}.")
