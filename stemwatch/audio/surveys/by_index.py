"""A survey of an MP4 by its index: where each packet lies, without reading them all."""

from __future__ import annotations

import os

from stemwatch.audio.frames import Source
from stemwatch.audio.surveys.seen import RUN, SHORT_SHARE, Survey, decode, sampled

_PIECE, _STEP = 64, 16_384  # bytes: compressed sound has no 64 zeros in a row; 0.7 s of sound


def by_index(source: Source) -> Survey | None:
    """None where the index is not of the whole file (in fragments), or the file is cut."""
    stream = source.stream
    if not source.container.format.name.startswith("mov") or not stream.duration:
        return None
    entries = stream.index_entries
    count = len(entries)
    if count <= RUN or count != stream.frames:
        return None
    base = float(stream.time_base)
    last = entries[count - 1]
    end = (2 * last.timestamp - entries[count - 2].timestamp) * base
    seen = Survey(declared=float(stream.duration) * base, counted=end, end=end, packets=count)

    def place(number: int) -> tuple[int, int]:
        entry = entries[number]
        return entry.pos, entry.size

    size = os.path.getsize(source.path)
    if any(sum(place(number)) > size for number in (*sampled(count), count - 1)):
        return None
    decode(source, seen, place, sampled(count))
    # A table of times may say of each packet that it lasts for hours.
    sound = count * seen.longest / source.sample_rate
    # Between a film's sound lie its pictures, which may hold as many zeros.
    if sound < (1 - SHORT_SHARE) * end or (
        not source.has_film() and _is_hollow(source.path, entries[0].pos, last.pos)
    ):
        seen.holes = seen.end  # as long as nobody knows how many
    return seen


def _is_hollow(path: str, start: int, end: int) -> bool:
    """Whether bytes that were set aside, and never filled, lie between the packets decoded.

    Only where sound is: boxes of padding may be as long.
    """
    with open(path, "rb", buffering=0) as file:
        pieces = (os.pread(file.fileno(), _PIECE, at) for at in range(start, end - _PIECE, _STEP))
        return any(not any(piece) for piece in pieces)
