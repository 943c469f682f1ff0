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
    for quick in (by_frames, by_index, by_blocks):
        if seen := quick(source):
            return seen
    return by_packets(source)
