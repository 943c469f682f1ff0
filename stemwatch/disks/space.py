"""How many bytes a song's results take on disk. Pure."""

from __future__ import annotations

from stemwatch.job import Options

# Bytes a second of what may come back at most: stereo at 48 kHz in float, in 24 bits, 320 kbit/s.
_BYTES_PER_SECOND = {"wav": 384_000, "flac": 288_000, "mp3": 40_000}
_PER_FILE = 2 << 20  # container, tags and cover


def needed_bytes(duration: float, options: Options) -> int:
    """Upper bound of what `duration` seconds of audio need in the outbox, mixes included."""
    files = options.stems + len(options.mixes)
    return files * (int(duration * _BYTES_PER_SECOND[options.format]) + _PER_FILE)
