"""Limits of a separation: the shortest and longest song in seconds, the largest file in bytes."""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.codes import Code
from stemwatch.errors import Reject

LEAST = 1.0  # seconds: a shorter file has nothing to separate, at any place
LARGEST_PREPARED = 4 << 30  # bytes of a file that is sent as FLAC: what a WAV can have
# What mends a lossless song that is too large, where originals are sent.
UNPREPARED = "Set `prepare.upload: auto` in the configuration, and it goes as FLAC."
_ROUNDING = 1.0  # seconds by which a header's length may be wrong


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one wire, or of this machine.

    `shortest` and `longest` (None: no limit) are seconds of audio, `largest` the bytes of a file.
    """

    shortest: float = LEAST
    longest: float | None = None
    largest: int = 100 * 1024 * 1024

    def of_audio(self, seconds: float) -> Reject | None:
        """Why a song of so many seconds can't be separated; None: it can."""
        if seconds < self.shortest:
            return Reject(
                f"it lasts {seconds:.3f} s; only songs of {self.shortest:g} s and more are taken.",
                code=Code.TOO_SHORT,
                hint="Drop the whole song."
                if self.shortest <= LEAST
                else f"Drop the whole song; with `--local` {LEAST:g} s is enough.",
            )
        if self.longest is not None and seconds > self.longest + _ROUNDING:
            return Reject(
                f"it lasts {seconds / 60:.1f} minutes; songs of up to {self.longest / 60:.0f} "
                "minutes are taken.",
                code=Code.TOO_LONG,
                hint="Cut it into parts, or separate it with `--local`.",
            )
        return None

    @property
    def largest_read(self) -> int:
        """Bytes of the largest file that is worth reading: its FLAC may be one of `largest`."""
        return max(self.largest, LARGEST_PREPARED)

    def of_file(self, size: int, *, unprepared: bool = False) -> Reject | None:
        """Why a file of so many bytes can't be separated as it is; None: it can.

        `unprepared`: its FLAC may be small enough, but may not be sent instead.
        """
        if size <= self.largest:
            return None
        return Reject(
            f"it has {size / 2**20:.1f} MB; files of up to {self.largest / 2**20:.0f} MB are "
            "taken.",
            code=Code.TOO_LARGE,
            hint=f"{UNPREPARED} Or cut it into parts."
            if unprepared
            else "Convert it to MP3 or M4A, or cut it into parts.",
        )
