"""How many bytes a song's results take on disk. Pure."""

from __future__ import annotations

from stemwatch.job import Options

# The most bytes per second that a stem may have: stereo at 48 kHz in 32-bit float, in 24 bits, and
# at 320 kbit/s.
_BYTES_PER_SECOND = {"wav": 384_000, "flac": 288_000, "mp3": 40_000}
_USUAL_RATE = 48_000  # Hz, of those
# Of a stem file's five tracks: stereo at 48 kHz in 24 bits, and at 256 kbit/s with its index.
_OF_STEM_FILE = {"alac": 5 * 290_000, "aac": 5 * 40_000}
_PER_FILE = 2 << 20  # container, tags and cover


def results_bytes(options: Options, duration: float | None, rate: int | None, at_hand: bool) -> int:
    """Upper bound of the bytes that a song's results take: of one that is `at_hand`, unpacked."""
    if at_hand:
        return unpacked_bytes(duration or 0.0, rate or 0, options)
    return needed_bytes(duration or 0.0, options)


def needed_bytes(duration: float, options: Options) -> int:
    """Upper bound of the bytes that `duration` seconds of audio take in the outbox, with mixes and
    the stem file."""
    files = options.stems + len(options.mixes)
    needed = files * (int(duration * _BYTES_PER_SECOND[options.format]) + _PER_FILE)
    if options.stem_file is not None:
        needed += int(duration * _OF_STEM_FILE[options.stem_file]) + _PER_FILE
    return needed


def unpacked_bytes(duration: float, rate: int, options: Options) -> int:
    """Upper bound of the bytes that a stem file of `rate` Hz takes in the outbox, with mixes.

    Of two stems, the instrumental is made of three more, which are there for a moment.
    """
    needed = needed_bytes(duration, options)
    if options.stems == 2:
        needed += needed_bytes(duration, Options(3, "wav"))
    return needed * max(rate, _USUAL_RATE) // _USUAL_RATE
