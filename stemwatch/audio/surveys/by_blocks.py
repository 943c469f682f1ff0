"""A survey of a WEBM or Matroska file by its blocks' headers."""

from __future__ import annotations

from stemwatch.audio.containers.matroska_blocks import blocks_of
from stemwatch.audio.frames import Source
from stemwatch.audio.surveys.seen import RUN, Survey, decode, sampled


def by_blocks(source: Source) -> Survey | None:
    """None where it holds more than one stream of sound, or anything in it is not plain."""
    container = source.container
    if not container.format.name.startswith("matroska") or not container.duration:
        return None
    found = blocks_of(source.path) if len(container.streams) == 1 else None
    if found is None or len(found.starts) <= RUN:
        return None
    seen = Survey(
        declared=container.duration / 1_000_000,
        counted=found.end,
        end=found.end,
        holes=found.holes,
        packets=len(found.starts),
    )

    def place(number: int) -> tuple[int, int]:
        return found.starts[number], found.sizes[number]

    decode(source, seen, place, sampled(seen.packets))
    return seen
