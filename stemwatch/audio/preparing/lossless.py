"""Which songs a FLAC may hold bit for bit, by their codec. Pure."""

from __future__ import annotations

# 32-bit ones may hold what no FLAC does: only their encoding tells.
_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"})
# What has lost nothing. A WavPack may be a lossy one: its FLAC holds all that is left.
_LOSSLESS = frozenset(
    {"alac", "ape", "flac", "mp4als", "tak", "truehd", "tta", "wavpack", "wmalossless"}
)


def fits_flac(codec: str | None) -> bool:
    """Whether a FLAC may hold this song's samples unchanged, and is smaller."""
    return codec in _PCM


def is_lossless(codec: str | None) -> bool:
    """Whether the decoder gives what was recorded, so that a FLAC may be the same sound."""
    return codec is not None and (codec in _LOSSLESS or codec.startswith("pcm_"))
