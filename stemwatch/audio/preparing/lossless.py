"""Which songs a FLAC holds bit for bit, by their codec. Pure."""

from __future__ import annotations

# 32-bit ones may hold what no FLAC does: only their encoding tells.
_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"})


def fits_flac(codec: str | None) -> bool:
    """Whether a FLAC may hold this song's samples unchanged, and is smaller."""
    return codec in _PCM
