"""A decoder's samples as the integers of a FLAC, and whether they are the very same.

Helper process only: this module imports numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stemwatch.audio.codec import to_pcm
from stemwatch.audio.preparing.lossless import is_lossless

_UNUSED = 8  # bits on the right of a 24-bit number that stands on the left of 32
_FULL = float(1 << 31)


@dataclass(slots=True)
class Rounding:
    """`depth` is the FLAC's; `exact`: every sample so far is one of a lossless song, unchanged."""

    depth: int
    exact: bool

    @classmethod
    def of(cls, codec: str, samples: np.dtype[Any]) -> Rounding:
        """For a codec whose decoder gives such samples: only they tell, not what it announces.

        An MP3 gets 16 bits although FFmpeg decodes it to float: all players do so, and 24 would
        double the upload.
        """
        narrow = samples in (np.uint8, np.int16) or codec == "mp3"
        return cls(16 if narrow else 24, is_lossless(codec))

    def integers(self, block: np.ndarray) -> np.ndarray:
        """Samples, shape (n, channels), as int16, or as int32 with 24 bits on the left."""
        if block.dtype == np.uint8:
            return (block.astype(np.int16) - 128) << 8
        if block.dtype.kind == "f":
            made = to_pcm(np.nan_to_num(block, nan=0.0), self.depth)
            if self.exact:
                self.exact = self.depth == 24 and bool(np.array_equal(made / _FULL, block))
            return made
        if block.dtype == np.int32:
            made = block >> _UNUSED << _UNUSED
            self.exact = self.exact and bool(np.array_equal(made, block))
            return made
        return block
