"""The cue points and the beat grid that Serato left in a song, for stems of the same codec.

Helper process only: this module imports mutagen, and PyAV to know the codec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mutagen.aiff
import mutagen.flac
import mutagen.id3
import mutagen.wave

# Half of mutagen is typed.
_AIFF: Any = mutagen.aiff.AIFF
_FLAC: Any = mutagen.flac.FLAC
_ID3: Any = mutagen.id3.ID3
_WAVE: Any = mutagen.wave.WAVE
# What stays true of each stem. Not `Serato Overview` and `Serato Autotags`, the mix's waveform and
# gain, nor `Serato Analysis`, which says that this very file was analysed.
_FRAMES = ("GEOB:Serato Markers_", "GEOB:Serato Markers2", "GEOB:Serato BeatGrid")
_COMMENTS = ("SERATO_MARKERS", "SERATO_MARKERS_V2", "SERATO_BEATGRID")
_MOST = 1 << 20  # bytes each; real ones have a few KB


def cue_points(path: str, format: str) -> dict[str, Any]:
    """What Serato left in the song at `path`, for its stems in `format`: mutagen's keys to values.

    The values go into tags of the same family as they are. There are none where the stems have
    another codec (all PCM is one): programs disagree about where a song begins in each. Never
    fails: what can't be read is left out, and `tags.read_tags` tells why.
    """
    try:
        found = _found(path, format)
        return found if found and _keeps_codec(path, format) else {}
    except Exception:  # damaged tags make mutagen raise nearly anything
        return {}


def _found(path: str, format: str) -> dict[str, Any]:
    if format == "flac":
        return _comments(_FLAC(path).tags or {})
    if format == "mp3":
        return _frames(_ID3(path, load_v1=False))
    if format == "wav":
        with open(path, "rb") as file:
            chunked = _AIFF if file.read(4) == b"FORM" else _WAVE
        return _frames(chunked(path).tags or {})
    return {}


def _frames(tags: Mapping[str, Any]) -> dict[str, Any]:
    frames = {key: tags[key] for key in _FRAMES if key in tags}
    return {
        key: frame
        for key, frame in frames.items()
        if len(frame.data) + len(frame.mime) + len(frame.filename) <= _MOST
    }


def _comments(tags: Mapping[str, Any]) -> dict[str, Any]:
    """Those in base64: of other bytes mutagen gives a text that is no copy of them."""
    values = {key: list(tags[key]) for key in _COMMENTS if key in tags}
    return {
        key: texts
        for key, texts in values.items()
        if all(map(str.isascii, texts)) and sum(map(len, texts)) <= _MOST
    }


def _keeps_codec(path: str, format: str) -> bool:
    """Told by content: ID3 stands before more than MP3, and a WAV may hold more than PCM."""
    from stemwatch.audio.frames import Source

    with Source(path) as source:
        codec: str = source.stream.codec_context.codec.canonical_name
    return codec.startswith("pcm_") if format == "wav" else codec == format
