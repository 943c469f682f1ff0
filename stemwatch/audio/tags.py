"""A song's own tags, read from any of the formats.

Helper process only: this module imports mutagen, and PyAV for what mutagen does not read.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, BinaryIO

import mutagen.aiff
import mutagen.apev2
import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.oggflac
import mutagen.oggopus
import mutagen.oggspeex
import mutagen.oggvorbis
import mutagen.wave

from stemwatch.audio.containers import id3v2
from stemwatch.audio.tagging import families
from stemwatch.audio.tagging.song_tags import SourceTags, merged

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.ENOENT)
# Of a disk or share that fails, or is away for a moment.
_FAILS = (*(errno.EIO, errno.ESTALE, errno.ENOTCONN), *(errno.ETIMEDOUT, errno.EHOSTDOWN))
# Half of mutagen is typed.
_ID3: Any = mutagen.id3
_APE: Any = mutagen.apev2
_FLAC: Any = mutagen.flac.FLAC
_MP4: Any = mutagen.mp4.MP4
_NO_TAGS = (_ID3.ID3NoHeaderError, _APE.APENoHeaderError)
_OGG: tuple[tuple[bytes, Any], ...] = (
    (b"OpusHead", mutagen.oggopus.OggOpus),
    (b"\x7fFLAC", mutagen.oggflac.OggFLAC),
    (b"Speex   ", mutagen.oggspeex.OggSpeex),
    (b"\x01vorbis", mutagen.oggvorbis.OggVorbis),
)
_CHUNKED: dict[bytes, Any] = {b"RIFF": mutagen.wave.WAVE, b"FORM": mutagen.aiff.AIFF}
_Reader = Callable[[str], SourceTags]


def read_tags(path: str, *, demand: bool = False) -> SourceTags:
    """The tags of whatever FFmpeg plays, told by its content, of all families that are in it.

    Never fails: what can't be read is left out and `note` says so. Nor where the file itself can't
    be read any more: its stems are paid for, and tags are a courtesy. Damaged ones make mutagen
    raise nearly anything: a length of 4 GB ends in a MemoryError. What FFmpeg made of them is taken
    where mutagen finds nothing.

    With `demand` the fault of a disk that fails is raised, OSError: it may be well again.
    """
    found: list[SourceTags] = []
    fault: Exception | None = None
    try:
        with open(path, "rb") as file:
            readers = _readers(file)
    except Exception as unreadable:
        readers, fault = [], unreadable
    for read in readers:
        try:
            found.append(read(path))
        except _NO_TAGS:
            pass
        except Exception as broken:
            fault = fault or broken
    if demand and fault:
        raise_disk_fault(fault, _FAILS)
    if readers and _demuxed not in readers and not any(tags.text for tags in found):
        with suppress(Exception):  # the first fault says more
            found.append(_demuxed(path))
    return merged(found, _note(fault, found) if fault else None)


def _note(fault: Exception, found: list[SourceTags]) -> str:
    what = f"tags can't be read ({words(fault)}); its stems get"
    if any(tags.text for tags in found):
        return f"Some of the song's {what} the others only."
    return f"The song's {what} none of them."


def _readers(file: BinaryIO) -> list[_Reader]:
    """Those of the families that this kind of file may hold; the first wins."""
    head = file.read(64)
    if head.startswith(b"fLaC"):
        return [_flac]
    if behind := id3v2.length(head):
        file.seek(behind)
        return [_flac, _id3v2] if file.read(4) == b"fLaC" else [_id3v2, _ape, _id3v1]
    if head.startswith(b"OggS"):
        return [_ogg(reader) for mark, reader in _OGG if mark in head] or [_demuxed]
    if head[4:8] == b"ftyp":
        return [lambda path: families.from_mp4(_MP4(path).tags or {})]
    if reader := _CHUNKED.get(head[:4]):
        return [lambda path: families.from_id3(reader(path).tags or {}), _demuxed]
    if head.startswith((b"\x1a\x45\xdf\xa3", b"RF64", b"BW64", b"riff")):
        return [_demuxed]
    return [_id3v2, _ape, _id3v1]


def _flac(path: str) -> SourceTags:
    flac = _FLAC(path)
    return families.from_comments(flac.tags, flac.pictures)


def _ogg(reader: Any) -> _Reader:
    return lambda path: families.from_comments(reader(path).tags)


def _id3v2(path: str) -> SourceTags:
    return families.from_id3(_ID3.ID3(path, load_v1=False))


def _id3v1(path: str) -> SourceTags:
    """Its texts are cut at 30 letters, so that every other family goes before."""
    return families.from_id3(_ID3.ID3(path))


def _ape(path: str) -> SourceTags:
    return families.from_ape(_APE.APEv2(path))


def _demuxed(path: str) -> SourceTags:
    """What FFmpeg read: Matroska's, a WAV's LIST INFO, a RF64's, an AIFF's chunks of text."""
    from stemwatch.audio.frames import Source

    with Source(path) as source:
        text = families.from_named(source.metadata())
        return SourceTags(text, families.attempt(lambda: families.image(source.picture())))


def words(fault: Exception) -> str:
    """What it says; a MemoryError says nothing by itself."""
    return str(fault) or type(fault).__name__


def raise_disk_fault(fault: BaseException, kinds: Collection[int] = _DISK) -> None:
    """A full or failing disk is no broken tag: whoever delivers has to know."""
    for cause in (fault, fault.__cause__, *fault.args):
        if isinstance(cause, OSError) and cause.errno in kinds:
            raise cause
