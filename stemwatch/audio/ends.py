"""Is the end of the file there? What containers say of their own size; no decoding, no PyAV."""

from __future__ import annotations

import os

from stemwatch.audio.containers.chunks import samples_of
from stemwatch.audio.containers.ogg_pages import LONGEST_PAGE, ending


def missing_share(path: str) -> float:
    """How much of a WAV's, W64's, AIFF's or CAF's samples is missing, 0.0 to 1.0; of others 0.0.

    FFmpeg shortens their declared duration without a word.
    """
    with open(path, "rb") as file:
        samples = samples_of(file)
    return samples.missing if samples else 0.0


def ogg_is_cut(path: str) -> bool:
    """Whether an Ogg's last page is not all there, or there is none at the end.

    The lack of an end-of-stream mark proves nothing: recorders of live streams never write one.
    But then the last page must be sound, and nothing may be behind it.
    """
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 2 * LONGEST_PAGE))
        last = ending(file.read())
    if last.marked or not last.whole:
        return not last.whole
    return not (last.at_end and last.sound)
