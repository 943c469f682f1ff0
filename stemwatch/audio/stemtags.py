"""Write a song's tags, tempo and key into its stems; their audio stays as it is.

Helper process only: this module imports mutagen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import mutagen.apev2
import mutagen.flac
import mutagen.id3
import mutagen.mp3
import mutagen.mp4
import mutagen.wave

from stemwatch.audio.containers.wav_chunks import pad_samples, write_info
from stemwatch.audio.results import StemTag
from stemwatch.audio.soundhash.chunk_sound import void_tags
from stemwatch.audio.tagging.m4a_atoms import write_m4a
from stemwatch.audio.tagging.song_tags import GROUPING, ID3_FRAMES, SourceTags, own_tempo
from stemwatch.audio.tags import raise_disk_fault, read_tags, words
from stemwatch.musical_keys import own_key

_flac: Any = mutagen.flac  # half of mutagen is typed
_apev2: Any = mutagen.apev2
_frames: Any = mutagen.id3.Frames
_STEMS = "(Stems)"  # behind the album's name: a library shows them as one of their own
_ROUNDED = 0.5  # BPM
_AUDIO: Any = {
    "wav": mutagen.wave.WAVE,
    "mp3": mutagen.mp3.MP3,
    "flac": _flac.FLAC,
    "m4a": mutagen.mp4.MP4,
}


def write_tags(
    path: str,
    format: str,
    tags: SourceTags,
    own: StemTag,
    *,
    bpm: float | None,
    key: str | None,
    whole: bool = False,
    afresh: bool = False,
) -> str | None:
    """Write `tags` into a stem (wav, flac, mp3; or m4a) in place; its audio stays, bit for bit.

    What they say of the song stays, what they say of the file becomes the stem's: title, album,
    number, grouping. `bpm` and `key` (musical, at most 3 characters, such as `C#m`) are those that
    were detected, and yield to the song's own; `whole`: the tempo is rounded, for programs that cut
    it off. `afresh`: what tags it has are removed first. Returns None, or a note saying what was
    left out. Raises OSError only.
    """
    text = {name: values for name, values in tags.text.items() if values}
    text |= _of_stem(text, own)
    tempo = _tempo(text, bpm)
    beats = tempo if tempo is None or not whole else float(round(tempo))
    for name, value in (("bpm", _written(beats)), ("key", _key(text) or key)):
        text.pop(name, None)
        if value:
            text[name] = (value,)
    if afresh and (unremoved := _forget(path, format)):
        return f"The tags of an earlier delivery stay ({unremoved})."
    written = replace(tags, text=text)
    left_out = _try(path, format, written)
    if left_out and tags.cover:  # such as one of over 16 MB, which a FLAC can't hold
        cover, left_out = left_out, _try(path, format, replace(written, cover=None))
        if not left_out:
            return f"The cover was left out ({cover})."
    return f"No tags were written ({left_out})." if left_out else None


def _of_stem(text: Mapping[str, tuple[str, ...]], own: StemTag) -> dict[str, tuple[str, ...]]:
    """The fields in which a stem differs from its song, so that a library keeps the two apart."""
    if own.song:
        return {"title": text.get("title", (own.title,))}
    made: dict[str, tuple[str, ...]] = {"title": (_title(text.get("title", ("",))[0], own.title),)}
    if own.stem:
        made["grouping"] = (own.stem, *text.get("grouping", ()))
    if own.number:
        made["tracknumber"] = (str(own.number),)
    if album := text.get("album"):
        made["album"] = tuple(
            name if name.endswith(_STEMS) else f"{name} {_STEMS}" for name in album
        )
    return made


def _forget(path: str, format: str) -> str | None:
    """Remove all tags; why that can't be done."""
    try:
        if format == "wav":
            void_tags(path)
        elif format == "mp3":
            _apev2.delete(path)
        file = _AUDIO[format](path)
        if format == "flac":
            file.clear_pictures()
        file.delete()
    except OSError:
        raise
    except Exception as fault:
        raise_disk_fault(fault)
        return words(fault)
    return None


def _try(path: str, format: str, tags: SourceTags) -> str | None:
    """Write them; why that can't be done. Nothing is changed before all of it is ready."""
    try:
        if format == "flac":
            _write_flac(path, tags)
        elif format == "wav":
            _write_wav(path, tags)
        elif format == "m4a":
            write_m4a(path, tags.text, tags.cover)
        else:
            _write_id3(_AUDIO[format](path), tags)
        # Tags behind odd samples, or in a file that only seems to be what it is named, are lost.
        if read_tags(path).text.get("title") != tags.text["title"]:
            return "they can't be read back"
    except OSError:
        raise
    except Exception as fault:  # paid for already: whatever it is, it costs the tags only
        raise_disk_fault(fault)
        return words(fault)
    return None


def _title(own: str, given: str) -> str:
    """ "Own title (Vocals)" for "file's name (Vocals)"; a mix's name may have brackets itself."""
    depth = 0
    for at in reversed(range(len(given))) if own and given.endswith(")") else ():
        depth += (given[at] == ")") - (given[at] == "(")
        if not depth:
            return f"{own} {given[at:]}"
    return given


def _tempo(text: Mapping[str, tuple[str, ...]], detected: float | None) -> float | None:
    """The song's own tempo, where it is a sensible number, else the detected one.

    A whole number may be a rounded one: the detected fraction is nearer to what it was.
    """
    beats = own_tempo(text.get("bpm", ("",))[0])
    if beats is None:
        return detected
    rounded = beats.is_integer() and detected is not None and abs(beats - detected) <= _ROUNDED
    return detected if rounded else beats


def _written(beats: float | None) -> str | None:
    return f"{beats:.2f}".rstrip("0").rstrip(".") if beats else None


def _key(text: Mapping[str, tuple[str, ...]]) -> str | None:
    """The song's own key as every program sorts it, in every format alike."""
    return own_key(text.get("key", ("",))[0])


def _write_flac(path: str, tags: SourceTags) -> None:
    flac = _flac.FLAC(path)
    if flac.tags is None:
        flac.add_tags()
    for name, values in tags.text.items():
        for own in ("INITIALKEY", "KEY") if name == "key" else (name.upper(),):
            flac[own] = list(values)
    for name, value in tags.serato.items():
        flac[name] = value
    if (cover := tags.cover) is not None:
        picture = _flac.Picture()
        picture.type, picture.mime, picture.data = 3, cover.mime, cover.data
        flac.clear_pictures()
        flac.add_picture(picture)
    flac.save()


def _write_wav(path: str, tags: SourceTags) -> None:
    """As ID3, and once more as LIST INFO, for readers that know nothing else."""
    with open(path, "r+b") as file:
        pad_samples(file)
    _write_id3(_AUDIO["wav"](path), tags)
    with open(path, "r+b") as file:
        write_info(file, tags.text)


def _write_id3(audio: Any, tags: SourceTags) -> None:
    if audio.tags is None:
        audio.add_tags()
    frames = [(ID3_FRAMES[name], values) for name, values in tags.text.items()]
    frames += [(GROUPING, tags.text["grouping"])] if "grouping" in tags.text else []
    for frame, values in frames:
        named = {"lang": "XXX", "desc": ""} if frame == "COMM" else {}
        audio.tags.setall(frame, [_frames[frame](encoding=3, text=list(values), **named)])
    for name, value in tags.serato.items():
        audio.tags[name] = value
    if (cover := tags.cover) is not None:
        picture = _frames["APIC"](encoding=3, mime=cover.mime, type=3, desc="", data=cover.data)
        audio.tags.setall("APIC", [picture])
    audio.save()
