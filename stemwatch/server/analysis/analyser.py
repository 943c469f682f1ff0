"""Listens to a song once, in bounded memory, and says its tempo, first beat, key and tuning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stemwatch.server.analysis.beats import first_beat
from stemwatch.server.analysis.beginning import Beginning
from stemwatch.server.analysis.chroma import Chroma
from stemwatch.server.analysis.downmix import RATE, Downmix
from stemwatch.server.analysis.key import find_key
from stemwatch.server.analysis.onsets import Onsets
from stemwatch.server.analysis.tempo import find_tempo
from stemwatch.server.engines.spectral.stft import Array

SHORTEST = 4.0  # seconds: below, there are too few beats and chords to tell


@dataclass(frozen=True, slots=True)
class Analysis:
    """`bpm` in beats a minute, `first_beat` in seconds, `key` like "C# minor", `tuning` in cents.

    `first_beat` is that of the grid of `bpm`, `tuning` from A4 = 440 Hz. Confidences are 0 to 1.
    None: not to be heard.
    """

    bpm: float | None = None
    bpm_confidence: float | None = None
    first_beat: float | None = None
    key: str | None = None
    key_confidence: float | None = None
    tuning: float | None = None


class Analyser:
    """Give it the song in blocks, float32 (n, 2) at 44.1 kHz; ask for the result once, at the end.

    Keeps three numbers for each 11.6 ms (4 MB an hour) and two histograms.
    """

    def __init__(self) -> None:
        self._downmix = Downmix()
        self._beginning = Beginning()
        self._onsets = Onsets()
        self._chroma = Chroma()
        self._samples = 0

    def add(self, block: Array) -> None:
        self._samples += len(block)
        self._hear(self._downmix.add(block))

    def _hear(self, sound: Array) -> None:
        self._beginning.add(sound)
        self._onsets.add(sound)
        self._chroma.add(sound)

    def result(self) -> Analysis:
        self._hear(self._downmix.rest())
        self._chroma.add(np.zeros(8192, np.float32))  # lets its last, long frames be heard
        if self._samples < SHORTEST * 2 * RATE:
            return Analysis()
        bpm, bpm_confidence, beat = self._pulse() or (None, None, None)
        key, key_confidence = find_key(self._chroma.result()) or (None, None)
        tuning = self._chroma.tuning()
        return Analysis(
            bpm=bpm,
            bpm_confidence=bpm_confidence,
            first_beat=beat,
            key=key,
            key_confidence=_rounded(key_confidence, 3),
            tuning=_rounded(tuning, 1),
        )

    def _pulse(self) -> tuple[float, float, float] | None:
        """Tempo, its confidence and the first beat; None where there is no pulse."""
        everything, low, kick = self._onsets.curves()
        found = find_tempo(everything, low)
        if found is None:
            return None
        # Finer digits are noise in a short song. The beats are those of the tempo that is told
        bpm = round(found[0], 2)
        beat = first_beat(everything, kick, bpm, self._beginning.seconds())
        return bpm, round(found[1], 3), round(beat, 3)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
