"""A file looked over as quickly as its container allows, and in full if anything looks damaged.

One packet in 32 is decoded on the way.
"""

from __future__ import annotations

from stemwatch.audio.frames import Source
from stemwatch.audio.surveys.by_blocks import by_blocks
from stemwatch.audio.surveys.by_frames import by_frames
from stemwatch.audio.surveys.by_index import by_index
from stemwatch.audio.surveys.by_packets import by_packets
from stemwatch.audio.surveys.seen import Survey


def survey(source: Source) -> Survey:
    """Of the whole file: what can't be followed by its container's own words is demuxed."""
    if seen := by_frames(source):
        return seen
    seen = by_index(source) or by_blocks(source) or by_packets(source)
    return _in_full(source, seen) if seen.suspicious else seen


def _in_full(source: Source, seen: Survey) -> Survey:
    """The same survey with everything decoded: what plays is what counts."""
    with Source(source.path, track=source.track) as again:
        seconds = sum(frame.samples / frame.sample_rate for frame in again.frames())
        seen.packets, seen.bad = max(1, again.packets), again.bad_packets
        seen.decoded = again.samples
    seen.counted = seen.end = seconds
    return seen
