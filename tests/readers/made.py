"""Stems as stemwatch delivers them, one of each format, and what their tags should say."""

from __future__ import annotations

import functools
import hashlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from stemwatch.audio.results import StemTag
from stemwatch.audio.stem_file.making import make
from stemwatch.audio.stemtags import write_tags
from stemwatch.audio.tagging.song_tags import Cover, SourceTags
from stemwatch.job import STEMS
from tests.support.audio_samples import tone, write

FORMATS = ("flac", "wav", "mp3", "m4a")
# The song's own tags; the stem is its vocals, the first of two.
_SONG = {
    "title": "Söng",
    "artist": "Somebody",
    "album": "Album",
    "albumartist": "Several",
    "date": "1999",
    "genre": "Rock",
    "tracknumber": "3/12",
    "discnumber": "1",
    "composer": "Composer",
    "isrc": "USS1Z9900001",
    "label": "Label",
    "remixer": "Remixer",
    "comment": "A comment",
    "compilation": "1",
}
_FOUND = {"bpm": "124.57", "key": "C#m"}
_STEM = _SONG | _FOUND | {
    "title": "Söng (Vocals)", "album": "Album (Stems)", "tracknumber": "1", "grouping": "Vocals",
}  # fmt: skip


@functools.cache
def picture() -> bytes:
    """A red JPEG, large enough for programs that scale covers."""
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width = encoder.height = 200
    encoder.pix_fmt, encoder.time_base = "yuvj420p", Fraction(1, 25)
    red = np.zeros((200, 200, 3), np.uint8)
    red[:, :, 0] = 255
    frame = av.VideoFrame.from_ndarray(red, format="rgb24").reformat(format="yuvj420p")
    return b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def expected(kind: str) -> dict[str, str]:
    """What a file of this format says; the stem file (M4A) is the song as a whole."""
    said = _SONG | _FOUND if kind == "m4a" else _STEM
    return said | {"cover": digest(picture())}


def stems(folder: Path) -> dict[str, Path]:
    """Write a stem of each format below `folder`, and the stem file, by the code that does it."""
    song = SourceTags(
        {name: (value,) for name, value in _SONG.items()}, Cover(picture(), "image/jpeg")
    )
    made: dict[str, Path] = {}
    for kind in FORMATS:
        if kind == "m4a":
            path, own = folder / "song.stem.m4a", StemTag("song", song=True)
            make(dict.fromkeys(STEMS[4], os.fspath(made["flac"])), os.fspath(path), "alac")
        else:
            own = StemTag("song (Vocals)", "Vocals", 1)
            path = write(folder / f"song (Vocals).{kind}", tone(2))
        note = write_tags(os.fspath(path), kind, song, own, bpm=124.57, key="C#m")
        assert note is None, note
        made[kind] = path
    return made
