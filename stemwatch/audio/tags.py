"""A song's own tags, read from any of the formats.

Helper process only: this module imports mutagen, and PyAV for WEBM.
"""

from __future__ import annotations

import base64
import errno
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.oggopus
import mutagen.oggvorbis
import mutagen.wave

# Half of mutagen is typed.
_FLAC: Any = mutagen.flac.FLAC
_PICTURE: Any = mutagen.flac.Picture
_ID3: Any = mutagen.id3.ID3
_MP4: Any = mutagen.mp4.MP4
_OPUS: Any = mutagen.oggopus.OggOpus
_VORBIS: Any = mutagen.oggvorbis.OggVorbis
_WAVE: Any = mutagen.wave.WAVE

# our name -> the format's own
ID3_FRAMES = {
    "title": "TIT2",
    "artist": "TPE1",
    "album": "TALB",
    "albumartist": "TPE2",
    "date": "TDRC",
    "genre": "TCON",
    "tracknumber": "TRCK",
    "discnumber": "TPOS",
    "bpm": "TBPM",
    "key": "TKEY",
}
_ATOMS = {
    "title": "©nam",
    "artist": "©ART",
    "album": "©alb",
    "albumartist": "aART",
    "date": "©day",
    "genre": "©gen",
    "tracknumber": "trkn",
    "discnumber": "disk",
    "bpm": "tmpo",
    "key": "----:com.apple.iTunes:initialkey",
}
_COMMENTS = {name: (name,) for name in ID3_FRAMES} | {"key": ("initialkey", "key")}
_MATROSKA = {name: (name,) for name in ID3_FRAMES} | {
    "albumartist": ("album_artist", "albumartist"),
    "tracknumber": ("track", "part_number"),
    "discnumber": ("disc", "discnumber"),
    "date": ("date", "date_released", "date_recorded"),
    "key": ("initialkey", "initial_key", "key"),
}
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT)


@dataclass(frozen=True, slots=True)
class Cover:
    """The front cover: its bytes and their MIME type."""

    data: bytes
    mime: str


@dataclass(frozen=True, slots=True)
class SourceTags:
    """A song's tags: `text` maps the names above to one or more values; `note` says what broke."""

    text: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cover: Cover | None = None
    note: str | None = None


def read_tags(path: str) -> SourceTags:
    """The tags of an MP3, WAV, FLAC, M4A, OGG (Vorbis, Opus) or WEBM file, told by its content.

    Never fails: what can't be read is left out and `note` says so. Nor where the file itself can't
    be read any more: its stems are paid for, and tags are a courtesy. Damaged ones make mutagen
    raise nearly anything: a length of 4 GB ends in a MemoryError.
    """
    try:
        return _read(path)
    except Exception as fault:
        return SourceTags(
            note=f"The song's tags can't be read ({words(fault)}); its stems get none of them."
        )


def _read(path: str) -> SourceTags:
    with open(path, "rb") as file:
        head = file.read(64)
    if head.startswith(b"fLaC"):
        flac = _FLAC(path)
        return SourceTags(_named(flac.tags or {}, _COMMENTS), _front(flac.pictures))
    if head.startswith(b"OggS"):
        ogg = _OPUS(path) if b"OpusHead" in head else _VORBIS(path)
        return SourceTags(_named(ogg.tags or {}, _COMMENTS), _front(_ogg_pictures(ogg.tags or {})))
    if head[4:8] == b"ftyp":
        return _from_mp4(_MP4(path).tags or {})
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return SourceTags(_named(_matroska_metadata(path), _MATROSKA))
    if head.startswith((b"RIFF", b"RF64")):
        return _from_id3(_WAVE(path).tags or {})
    return _from_id3(_ID3(path) if head.startswith(b"ID3") else {})


def _named(
    found: Mapping[str, Any], names: Mapping[str, Iterable[str]]
) -> dict[str, tuple[str, ...]]:
    folded = {key.lower(): value for key, value in dict(found).items()}
    text = {}
    for name, own in names.items():
        for candidate in own:
            value = folded.get(candidate)
            values = _clean([value] if isinstance(value, str) else value or [])
            if values:
                text[name] = values
                break
    return text


def _clean(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(shown for value in values if (shown := str(value).replace("\0", "").strip()))


def _from_id3(frames: Mapping[str, Any]) -> SourceTags:
    text = {}
    for name, frame_id in ID3_FRAMES.items():
        frame = frames.get(frame_id)
        if frame is not None:
            text[name] = _clean(frame.genres if name == "genre" else frame.text)
    pictures = [frame for key, frame in dict(frames).items() if key.startswith("APIC")]
    return SourceTags({name: values for name, values in text.items() if values}, _front(pictures))


def _from_mp4(atoms: Mapping[str, Any]) -> SourceTags:
    text = {}
    for name, atom in _ATOMS.items():
        values = dict(atoms).get(atom, [])
        if name in ("tracknumber", "discnumber"):
            values = [f"{n}/{total}" if total else f"{n}" for n, total in values if n]
        elif name == "key":
            values = [bytes(value).decode("utf-8", "replace") for value in values]
        if values := _clean(values):
            text[name] = values
    covers = dict(atoms).get("covr") or []
    if not covers:
        return SourceTags(text)
    png = covers[0].imageformat == mutagen.mp4.MP4Cover.FORMAT_PNG
    return SourceTags(text, Cover(bytes(covers[0]), "image/png" if png else "image/jpeg"))


def _matroska_metadata(path: str) -> dict[str, str]:
    from stemwatch.audio.frames import Source

    with Source(path) as source:
        return source.metadata()


def _ogg_pictures(comments: Mapping[str, Any]) -> list[Any]:
    pictures = []
    for encoded in dict(comments).get("metadata_block_picture", []):
        with suppress(Exception):  # a broken cover doesn't cost the other tags
            pictures.append(_PICTURE(base64.b64decode(encoded)))
    return pictures


def _front(pictures: list[Any]) -> Cover | None:
    """The front cover (type 3), or the first picture."""
    for picture in sorted(pictures, key=lambda picture: picture.type != 3):
        if picture.data:
            return Cover(picture.data, picture.mime or "image/jpeg")
    return None


def words(fault: Exception) -> str:
    """What it says; a MemoryError says nothing by itself."""
    return str(fault) or type(fault).__name__


def raise_disk_fault(fault: BaseException) -> None:
    """A full or failing disk is no broken tag: whoever delivers has to know."""
    for cause in (fault, fault.__cause__, *fault.args):
        if isinstance(cause, OSError) and cause.errno in _DISK:
            raise cause
