"""Write a song's tags, tempo and key into its stems; their audio stays as it is.

Helper process only: this module imports mutagen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mutagen.flac
import mutagen.id3
import mutagen.mp3
import mutagen.wave

from stemwatch.audio.tags import ID3_FRAMES, Cover, SourceTags, raise_disk_fault, words

_flac: Any = mutagen.flac  # half of mutagen is typed
_frames: Any = mutagen.id3.Frames
_AUDIO: Any = {"wav": mutagen.wave.WAVE, "mp3": mutagen.mp3.MP3}


def write_tags(
    path: str, format: str, tags: SourceTags, *, title: str, bpm: float | None, key: str | None
) -> str | None:
    """Write `tags` into a stem (wav, flac, mp3) in place; its audio stays as it is, bit for bit.

    `bpm` and `key` (musical, at most 3 characters, such as `C#m`) are the detected ones and yield
    to the song's own. Returns None, or a note saying why there are no tags. Raises OSError only.
    """
    text = {name: values for name, values in tags.text.items() if values}
    text["title"] = (title,)
    if not _beats(text) and bpm:
        text["bpm"] = (f"{bpm:.2f}".rstrip("0").rstrip("."),)
    if "key" not in text and key:
        text["key"] = (key,)
    try:
        if format == "flac":
            _write_flac(path, text, tags.cover)
        else:
            _write_id3(_AUDIO[format](path), text, tags.cover, key)
    except OSError:
        raise
    except Exception as fault:  # paid for already: whatever it is, it costs the tags only
        raise_disk_fault(fault)
        return f"No tags were written ({words(fault)})."
    return None


def _write_flac(path: str, text: Mapping[str, tuple[str, ...]], cover: Cover | None) -> None:
    flac = _flac.FLAC(path)
    if flac.tags is None:
        flac.add_tags()
    for name, values in text.items():
        for own in ("INITIALKEY", "KEY") if name == "key" else (name.upper(),):
            flac[own] = list(values)
    if cover is not None:
        picture = _flac.Picture()
        picture.type, picture.mime, picture.data = 3, cover.mime, cover.data
        flac.clear_pictures()
        flac.add_picture(picture)
    flac.save()


def _write_id3(
    audio: Any, text: Mapping[str, tuple[str, ...]], cover: Cover | None, detected_key: str | None
) -> None:
    if audio.tags is None:
        audio.add_tags()
    own: dict[str, list[str]] = {
        name: list(values) for name, values in text.items() if name not in ("bpm", "key")
    }
    if beats := _beats(text):
        own["bpm"] = [str(round(beats))]
    # TKEY holds 3 characters; a longer one of the song's own yields to the detected one.
    if short := [key for key in (*text.get("key", ()), detected_key) if key and len(key) <= 3]:
        own["key"] = short[:1]
    for name, values in own.items():
        frame = ID3_FRAMES[name]
        audio.tags.setall(frame, [_frames[frame](encoding=3, text=values)])
    if cover is not None:
        picture = _frames["APIC"](encoding=3, mime=cover.mime, type=3, desc="", data=cover.data)
        audio.tags.setall("APIC", [picture])
    audio.save()


def _beats(text: Mapping[str, tuple[str, ...]]) -> float | None:
    """The song's own tempo, where it is a sensible number."""
    try:
        beats = float(text.get("bpm", ("",))[0].replace(",", "."))
    except ValueError:
        return None
    return beats if 1 <= beats < 1000 else None
