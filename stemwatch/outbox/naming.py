"""Names of folders and files: readable, safe on every file system, short enough. Pure.

Lengths are bytes of UTF-8.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stemwatch import patterns
from stemwatch.song_kinds import without_suffix

LIMIT = 255
SIDECAR_SUFFIX = ".stemwatch.json"
STEM_FILE_SUFFIX = ".stem.m4a"  # Mixxx knows a stem file by it
# Bytes that may follow a song's name: a suffix against clashes, then the longest stem's ending.
_RESERVE = len(" [xxxxxxxx-9999]") + len(" (Instrumental).flac")
_LONGEST_EXT = 16
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])( *\.|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StemNames:
    """The pattern for the files of a song's stems, and the song's values of its fields."""

    pattern: str = patterns.STEM_NAME
    facts: Mapping[str, str | None] = field(default_factory=dict)


def song_name(filename: str) -> str:
    """The name of the folder for the song `filename`: without the extension, made safe.

    It is so short that the folder with a suffix against clashes, and every file inside, stay within
    `LIMIT` bytes. It is never empty, hidden or the name of a Windows device.
    """
    return folder_name(without_suffix(filename))


def folder_name(text: str) -> str:
    """The name of the folder for a song that is called `text`, made safe like `song_name`."""
    return fit_song(component(text))


def fit_song(song: str, *, limit: int = LIMIT) -> str:
    """`song`, cut and given a short hash if it is too long for names of `limit` bytes."""
    return _cut(song, limit - _RESERVE)


def component(name: str) -> str:
    """One safe path component from any text."""
    safe = _safe_characters(name).strip(" ").rstrip(". ")
    if not safe:
        return "untitled"
    # A hidden folder would seem lost, and a device name can't be opened on Windows.
    return f"_{safe.lstrip('.')}" if safe.startswith(".") or _DEVICE.match(safe) else safe


def safe_file(name: str, *, limit: int = LIMIT) -> str:
    """The file name `name`, made safe for every file system; its extension stays."""
    safe = component(name)
    stem, ext = os.path.splitext(safe)
    if _length(ext) > _LONGEST_EXT:  # the end of a title, not an extension
        return _cut(safe, limit)
    return _cut(stem, limit - _length(ext)) + ext


def mirror(relpath: str, *, limit: int = LIMIT) -> str:
    """The folder of `relpath`, made safe: "a/b" for "a/b/song.mp3", "" for "song.mp3"."""
    parts = relpath.split("/")[:-1]
    return "/".join(_cut(component(p), limit) for p in parts if p not in ("", "."))


def name_of_stem(song: str, stem_id: str, ext: str, *, limit: int = LIMIT) -> str:
    """`song (Vocals).wav` for the stem or mix `stem_id`. A mix's id is any text of the user."""
    room = limit - _length(song) - len(f" ().{ext}")
    return f"{song} ({_cut(stem_label(stem_id), max(room, 12))}).{ext}"


def stem_label(stem_id: str) -> str:
    """A stem's or mix's name as people read it: "Vocals"."""
    words = _safe_characters(stem_id).replace("_", " ").strip(". ") or "Stem"
    return " ".join(w[:1].upper() + w[1:].lower() for w in words.split())


def _stem_name(song: str, stem_id: str, ext: str, by: StemNames, limit: int) -> str:
    """`name_of_stem` by a pattern, or the usual one where a fact is missing or it gets too long."""
    values = {**by.facts, "song": song, "stem": stem_label(stem_id)}
    given = None if by.pattern == patterns.STEM_NAME else patterns.fill(by.pattern, values)
    name = None if given is None else f"{component(given)}.{ext}"
    if name is None or _length(name) > limit:
        return name_of_stem(song, stem_id, ext, limit=limit)
    return name


def names_of_stems(
    song: str,
    stem_ids: Sequence[str],
    ext: str,
    *,
    by: StemNames = StemNames(),
    limit: int = LIMIT,
) -> list[str]:
    """One file name for each id; they differ even where case is ignored."""
    names: list[str] = []
    seen: set[str] = set()
    for stem_id in stem_ids:
        name = _stem_name(song, stem_id, ext, by, limit)
        if fold(name) in seen:  # such as the mixes "no drums" and "No Drums"
            other = f"{stem_id[:3]} {_short_hash(stem_id)}"
            name = _stem_name(song, other, ext, by, limit)
        seen.add(fold(name))
        names.append(name)
    return names


def sidecar_file(song: str) -> str:
    return song + SIDECAR_SUFFIX


def candidates(song: str, sha256: str) -> Iterator[str]:
    """`song`, `song [1a2b3c4d]`, `song [1a2b3c4d-2]`, ... without end."""
    yield song
    yield f"{song} [{sha256[:8]}]"
    for n in itertools.count(2):
        yield f"{song} [{sha256[:8]}-{n}]"


def file_candidates(name: str, sha256: str, limit: int = LIMIT) -> Iterator[str]:
    """`name`, then `name` with a suffix before the extension, without end. Its bytes are kept.

    A name that is too long for a suffix is cut before it and given a short hash of the whole name.
    """
    stem, ext = os.path.splitext(name)
    for candidate in candidates("", sha256):
        tail = os.fsencode(candidate + ext)
        head = os.fsencode(stem)
        if len(head) + len(tail) > limit and candidate:
            tail = b"-" + _short_hash(name).encode() + tail
            head = cut_bytes(head, limit - len(tail))
        yield os.fsdecode(head + tail)


def fold(name: str) -> str:
    """`name` without differences of case and of composition, which some file systems ignore."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def taken(parent: str, name: str) -> bool:
    """Whether `parent` holds an entry whose name equals `name` but for case and NFC/NFD."""
    if os.path.lexists(os.path.join(parent, name)):
        return True
    wanted = fold(name)
    try:
        # Not by a list: of an outbox with 15,000 songs that is a megabyte, for each song at once.
        with os.scandir(parent) as entries:
            return any(fold(entry.name) == wanted for entry in entries)
    except FileNotFoundError:
        return False


def readable(name: str) -> str:
    """`name` as text that can be encoded: bytes that are no UTF-8 become U+FFFD."""
    return _SURROGATE.sub("\ufffd", name)


def cut_bytes(name: bytes, length: int) -> bytes:
    """At most `length` bytes of `name`, cut between two characters."""
    if len(name) <= length:
        return name
    while length > 0 and name[length] & 0xC0 == 0x80:
        length -= 1
    return name[:length]


def _safe_characters(name: str) -> str:
    # Surrogates go first: NFC must not take them for letters, and UTF-8 can't encode them.
    name = _FORBIDDEN.sub("_", _SURROGATE.sub("_", name))
    name = "".join("_" if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in name)
    return unicodedata.normalize("NFC", name)


def _cut(name: str, length: int) -> str:
    if _length(name) <= length:
        return name
    kept = cut_bytes(name.encode(), max(length, 10) - 9).decode().rstrip(". ")
    return f"{kept}-{_short_hash(name)}"


def _length(name: str) -> int:
    return len(name.encode())


def _short_hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
