"""Where an MP4's own words end its sound, so that what an encoder filled up with is left out.

Helper process only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from stemwatch.audio.frames import Source

_PADDING = 4_096  # samples: what an encoder may have added behind a song, two frames of HE-AAC


def sound_end(song: Source) -> int | None:
    """The sample where an MP4's edit list ends the song; None: all that decodes is the song.

    FFmpeg leaves out what lies before an edit, and plays what an encoder filled its last frame
    with (PyAV 18).
    """
    stream = song.stream
    if not song.container.format.name.startswith("mov") or not stream.duration:
        return None
    return round(float(stream.duration * stream.time_base) * song.sample_rate)


def until(end: int | None, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The blocks without an encoder's padding behind `end`; a longer rest is sound after all."""
    count = 0
    rest: list[np.ndarray] = []
    for block in blocks:
        inside = len(block) if end is None else min(len(block), max(0, end - count))
        count += len(block)
        if inside:
            yield block[:inside]
        if end is not None and inside < len(block):
            rest.append(block[inside:])
            if count - end > _PADDING:
                yield from rest
                end = None
