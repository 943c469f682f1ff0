"""The first beat of the grid that a song's tempo makes: where onsets and kicks fall together.

Which of two phases half a beat apart has the beats is told by the kick, and by the first onset.
"""

from __future__ import annotations

import numpy as np

from stemwatch.server.analysis.onsets import PER_SECOND
from stemwatch.server.engines.spectral.stft import Array

SOON = 60.0  # seconds after which a beat counts a third: a played song's tempo wanders
LONGEST = 8 * SOON  # what comes later counts nothing
FINE = 0.002  # seconds between two phases that are tried
KICK_WEIGHT = 4.0
# Most songs begin on a beat: it decides where kick and off-beats are nearly as strong
BEGINS = 1.5  # times as likely
STRONG = 0.5  # of the mean beat: the first such onset, behind any soft lead-in, is a song's start
NEAR = 0.05  # seconds
EARLY = 0.03  # seconds that the first beat may lie before the sound: an attack takes as long


def first_beat(everything: Array, kick: Array, tempo: float, beginning: float) -> float:
    """Seconds into the song of the first beat of the grid of `tempo` BPM, at least 0.

    It is the earliest one at `beginning` (seconds) or later, or at most EARLY before. The curves
    are those of `Onsets`.
    """
    period = 60 / tempo
    onsets = (everything + KICK_WEIGHT * kick)[: int(LONGEST * PER_SECOND)]
    phases, mean = _means(onsets, period)
    start = _first_above(onsets, STRONG * float(mean.max()))
    from_start = (phases - start + period / 2) % period - period / 2
    likely = np.where(np.abs(from_start) < NEAR, BEGINS * mean, mean)
    phase = float(phases[np.argmax(likely)])
    beats = np.ceil((beginning - EARLY - phase) / period)
    return max(0.0, phase + float(beats) * period)


def _means(onsets: Array, period: float) -> tuple[Array, Array]:
    """Phases (seconds, up to one period), and how much begins on a beat of each."""
    phases = np.arange(0, period, FINE)
    beats = np.arange(0, len(onsets) / PER_SECOND, period)
    at = phases[:, None] + beats
    there = np.interp(at * PER_SECOND, np.arange(len(onsets)), onsets, right=0)
    weights = np.exp(-beats / SOON)
    mean: Array = there @ weights / weights.sum()
    return phases, mean


def _first_above(onsets: Array, strength: float) -> float:
    """Seconds of the first peak that is as strong."""
    there = int(np.argmax(onsets >= strength))
    return (there + int(np.argmax(onsets[there : there + 4]))) / PER_SECOND
