"""Is this song a stem file: a mix and its four stems in one MP4, as Native Instruments lays it out?

Its name ends in `.stem.m4a` or `.stem.mp4`. `moov/udta/stem` holds JSON: `version`, and four
`stems` with their names. The first sound track is the mix; the four behind it are the stems, in
that order, stereo, of one codec and one rate. Mixxx asks for the same; what it does not take is
an ordinary song here. Helper process only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from stemwatch.audio.frames import Source
from stemwatch.audio.probe import probe
from stemwatch.audio.results import Probe
from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.song_kinds import is_named_stem_file

USUAL = ("drums", "bass", "other", "vocals")  # Native Instruments' order
_CALLED = {
    **dict.fromkeys(("drum", "drums", "percussion"), "drums"),
    "bass": "bass",
    **dict.fromkeys(("other", "others", "melody"), "other"),
    **dict.fromkeys(("vox", "vocal", "vocals", "voice"), "vocals"),
}
_PATH = (b"moov", b"udta", b"stem")
_LARGEST = 1 << 20  # bytes of the JSON; a usual one has one kilobyte
_MOST_ATOMS = 4_096


def probe_song(path: str) -> Probe:
    """`audio.probe.probe` of any song, and of each track of a stem file.

    Raises what `probe` raises. Of a stem file also where one track is damaged (the message names
    it), and `truncated` where one ends more than 0.5 s and 2 % before the longest.
    """
    song = probe(path)
    tracks = stem_tracks(path)
    if tracks is None:
        return song
    lengths = {stem: _probed(path, stem, number).duration for stem, number in tracks.items()}
    longest = max(song.duration, *lengths.values())
    for track, seconds in {"mix": song.duration, **lengths}.items():
        if longest - seconds > max(0.5, 0.02 * longest):
            raise Reject(
                f"{os.path.basename(path)!r} is incomplete: its {track} track ends at "
                f"{seconds:.1f} s of {longest:.1f} s.",
                code=Code.TRUNCATED,
                hint="Copy or download it again, or export it again from your stem creator.",
            )
    return replace(song, stem_file=True)


def stem_tracks(path: str) -> dict[str, int] | None:
    """Which sound track each stem is, from 1, in the order of the tracks; None: no stem file.

    The stems are `drums`, `bass`, `other` and `vocals`. Raises what `frames.Source` raises.
    """
    if not is_named_stem_file(os.path.basename(path)):
        return None
    with open(path, "rb") as file:
        names = _names(_manifest(file))
    if names is None or not _is_laid_out(path):
        return None
    return {stem: number for number, stem in enumerate(stems_called(names), 1)}


def stems_called(names: Sequence[str]) -> Sequence[str]:
    """Our stems for the names of the four tracks, whatever their case.

    One name that nobody knows is the stem that is left. Else Native Instruments' order counts.
    """
    found = [_CALLED.get(name.strip().lower()) for name in names]
    missing = set(USUAL).difference(found)
    if len(missing) == 1 and found.count(None) == 1:
        found[found.index(None)] = missing.pop()
    stems = [stem for stem in found if stem is not None]
    return stems if set(stems) == set(USUAL) and len(stems) == len(USUAL) else USUAL


def _probed(path: str, stem: str, number: int) -> Probe:
    try:
        return probe(path, track=number)
    except Reject as fault:
        raise Reject(
            f"its {stem} track: {fault.message}", code=fault.code, hint=fault.hint
        ) from fault


def _is_laid_out(path: str) -> bool:
    with Source(path) as song:
        contexts = [track.codec_context for track in song.container.streams.audio]
        shapes = {one and (one.name, one.sample_rate, one.channels) for one in contexts[1:]}
    if len(contexts) != 1 + len(USUAL) or len(shapes) != 1:
        return False
    shape = shapes.pop()
    return shape is not None and shape[2] == 2


def _names(manifest: Any) -> list[str] | None:
    """The stems' names, of JSON that may be anything; None: it is no manifest of four stems."""
    if not isinstance(manifest, dict):
        return None
    version, stems = manifest.get("version"), manifest.get("stems")
    if not isinstance(version, int | float) or version < 1:
        return None
    if not isinstance(stems, list) or len(stems) != len(USUAL):
        return None
    return [str(one.get("name", "")) if isinstance(one, dict) else "" for one in stems]


def _manifest(file: BinaryIO) -> Any:
    """The JSON of the atom `stem`; None: there is none that can be read."""
    begin, end = 0, os.fstat(file.fileno()).st_size
    for wanted in _PATH:
        inside = next((span for kind, *span in _atoms(file, begin, end) if kind == wanted), None)
        if inside is None:
            return None
        begin, end = inside
    if end - begin > _LARGEST:
        return None
    file.seek(begin)
    try:
        return json.loads(file.read(end - begin).rstrip(b"\0"))
    except (ValueError, RecursionError):
        return None


def _atoms(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, first byte and end of the content of each atom; it ends where one makes no sense."""
    for _ in range(_MOST_ATOMS):
        file.seek(begin)
        head = file.read(16)
        size, kind, width = int.from_bytes(head[:4], "big"), head[4:8], 8
        if size == 1:
            size, width = int.from_bytes(head[8:16], "big"), 16
        elif size == 0:  # to the end of what it is in
            size = end - begin
        if size < width or begin + size > end:
            return
        yield kind, begin + width, begin + size
        begin += size
