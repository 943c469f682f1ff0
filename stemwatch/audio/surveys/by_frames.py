"""A survey of an MP3 by its frames' headers."""

from __future__ import annotations

from stemwatch.audio.containers.mpeg_frames import Frames, frames_of
from stemwatch.audio.frames import Source
from stemwatch.audio.surveys.seen import Survey, decode, sampled


def by_frames(source: Source) -> Survey | None:
    """None where there are none that can be followed: of a free bit rate, in another container."""
    if source.container.format.name != "mp3":
        return None
    found = frames_of(source.path)
    if not found.starts:
        return None
    seen = _measured(found)
    count = len(found.starts)

    def place(number: int) -> tuple[int, int]:
        return found.starts[number], found.sizes[number]

    decode(source, seen, place, sampled(count))
    if seen.suspicious:
        decode(source, seen, place, range(count))
    return seen


def _measured(found: Frames) -> Survey:
    count, size = len(found.starts), sum(found.sizes)
    seen = Survey(counted=found.seconds, packets=count)
    lost: float = found.between + found.around
    if found.told and found.told.frames:
        seen.declared = found.told.seconds
        seen.counted = max(0.0, found.seconds - found.told.padding)
        # If all are there, what lies around them is no sound that is lost.
        missing = (found.told.frames - count) * size / count
        lost = found.between + min(found.around, max(0.0, missing))
    seen.end = seen.counted
    seen.skipped = lost * count / size
    return seen
