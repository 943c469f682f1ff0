"""Files of every kind whose sound is hashed alone, and what tag editors do to them."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Callable
from pathlib import Path

import mutagen
import mutagen.aiff
import mutagen.apev2
import mutagen.flac
import mutagen.id3
import mutagen.mp4
import mutagen.oggflac
import mutagen.oggopus
import mutagen.oggvorbis
import mutagen.wave

from tests.support.audio_samples import tone
from tests.support.odd_files import encode

# name: codec, container, options of the container
KINDS: dict[str, tuple[str, str, dict[str, str]]] = {
    "song.wav": ("pcm_s16le", "wav", {}),
    "large.wav": ("pcm_s24le", "wav", {"rf64": "always"}),
    "song.aiff": ("pcm_s16be", "aiff", {}),
    "song.flac": ("flac", "flac", {}),
    "song.mp3": ("libmp3lame", "mp3", {}),
    "song.m4a": ("aac", "mp4", {}),
    "first.m4a": ("aac", "mp4", {"movflags": "faststart"}),
    "lossless.m4a": ("alac", "ipod", {}),
    "vorbis.ogg": ("vorbis", "ogg", {}),
    "song.opus": ("libopus", "ogg", {}),
    "flac.ogg": ("flac", "ogg", {}),
    "song.webm": ("libopus", "webm", {}),
    "song.mka": ("flac", "matroska", {}),
}


def make(folder: Path, name: str, *, seed: int = 1, seconds: float = 1.0, rate: int = 0) -> Path:
    """A song of this kind; each `seed` is another one."""
    codec, container, options = KINDS[name]
    rate = rate or (48_000 if codec == "libopus" else 44_100)
    samples = tone(seconds, rate=rate, seed=seed)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return encode(path, codec, rate=rate, container=container, options=options, samples=samples)


def retag(path: Path, title: str, *, cover: int = 0) -> Path:
    """Write a title, and a cover of so many bytes, into the file as a tag editor does: in place."""
    _EDITORS[path.suffix](path, title, b"\x89PNG" + os.urandom(cover) if cover else b"")
    return path


def _picture(data: bytes) -> mutagen.flac.Picture:
    picture = mutagen.flac.Picture()
    picture.type, picture.mime, picture.data = 3, "image/png", data
    return picture


def _id3(file: mutagen.FileType, title: str, cover: bytes) -> None:
    if file.tags is None:
        file.add_tags()
    file.tags.setall("TIT2", [mutagen.id3.TIT2(encoding=3, text=[title])])
    if cover:
        art = mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=cover)
        file.tags.setall("APIC", [art])
    file.save()


def _wav(path: Path, title: str, cover: bytes) -> None:
    if path.read_bytes()[:4] == b"RIFF":
        _id3(mutagen.wave.WAVE(path), title, cover)
    else:  # mutagen knows no RF64
        _add_chunk(path, b"id3 ", title.encode() + cover)


def _add_chunk(path: Path, name: bytes, content: bytes) -> None:
    data = bytearray(path.read_bytes())
    data += name + struct.pack("<I", len(content)) + content + bytes(len(content) & 1)
    data[20:28] = struct.pack("<Q", len(data) - 8)
    path.write_bytes(bytes(data))


def _mp3(path: Path, title: str, cover: bytes) -> None:
    """ID3v2 in front, ID3v1 and APEv2 behind, as some programs write all three."""
    tags = mutagen.id3.ID3()
    tags.add(mutagen.id3.TIT2(encoding=3, text=[title]))
    if cover:
        tags.add(mutagen.id3.APIC(encoding=3, mime="image/png", type=3, desc="", data=cover))
    tags.save(path, v1=2)
    ape = mutagen.apev2.APEv2()
    ape["Title"] = title
    ape.save(path)


def _flac(path: Path, title: str, cover: bytes) -> None:
    flac = mutagen.flac.FLAC(path)
    flac["TITLE"] = title
    flac.clear_pictures()
    if cover:
        flac.add_picture(_picture(cover))
    flac.save()


def _m4a(path: Path, title: str, cover: bytes) -> None:
    mp4 = mutagen.mp4.MP4(path)
    mp4["\xa9nam"] = [title]
    if cover:
        mp4["covr"] = [mutagen.mp4.MP4Cover(cover, mutagen.mp4.MP4Cover.FORMAT_PNG)]
    mp4.save()


def _ogg(path: Path, title: str, cover: bytes) -> None:
    ogg = mutagen.File(path)
    ogg["TITLE"] = title
    if cover:
        ogg["METADATA_BLOCK_PICTURE"] = base64.b64encode(_picture(cover).write()).decode()
    ogg.save()


def _matroska(path: Path, title: str, cover: bytes) -> None:
    """Tags at the segment's end, as mkvpropedit puts them there."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x18\x53\x80\x67") + 4
    words = _element(b"\x45\xa3", b"T") + _element(b"\x44\x87", title.encode())
    simple = _element(b"\x67\xc8", words)
    data += _element(b"\x12\x54\xc3\x67", _element(b"\x73\x73", simple + _element(b"\xec", cover)))
    assert data[at] == 1, "a size of eight bytes"
    data[at : at + 8] = (len(data) - at - 8 | 1 << 56).to_bytes(8, "big")
    path.write_bytes(bytes(data))


def _element(kind: bytes, content: bytes) -> bytes:
    return kind + (len(content) | 1 << 56).to_bytes(8, "big") + content


_EDITORS: dict[str, Callable[[Path, str, bytes], None]] = {
    ".wav": _wav,
    ".aiff": lambda path, title, cover: _id3(mutagen.aiff.AIFF(path), title, cover),
    ".flac": _flac,
    ".mp3": _mp3,
    ".m4a": _m4a,
    ".ogg": _ogg,
    ".opus": _ogg,
    ".webm": _matroska,
    ".mka": _matroska,
}
