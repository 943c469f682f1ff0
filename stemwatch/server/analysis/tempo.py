"""Tempo from onset curves: autocorrelation, a comb over beats, a prior, then fine tuning.

What is left of errors are octaves (174 heard as 87); the confidence says how clear the pulse is.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from stemwatch.server.analysis.onsets import PER_SECOND
from stemwatch.server.engines.spectral.stft import Array

SLOWEST, FASTEST = 55.0, 215.0
USUAL, SPREAD = 120.0, 0.9  # BPM, octaves: a log-normal prior
WINDOW = int(12 * PER_SECOND)
# How much an echo after so many beats supports a tempo
COMB = ((1, 1.0), (2, 0.8), (3, 0.4), (4, 0.6), (0.5, 0.25))
# A comb mean below this is no pulse: noise reaches half of it, music twice. In less than one window
# noise seems to echo more, by chance
CLEAR = 0.12
LOW_WEIGHT = 0.5
PART = 1024  # onsets at a time


def find_tempo(everything: Array, low: Array) -> tuple[float, float] | None:
    """(BPM, confidence 0..1) of the two curves of `Onsets`; None where there is no pulse."""
    if not everything.any():
        return None
    onsets = everything + LOW_WEIGHT * low
    echo = autocorrelation(onsets)
    candidates = np.geomspace(SLOWEST, FASTEST, 600)
    comb = comb_scores(echo, 60 * PER_SECOND / candidates)
    prior = np.exp(-0.5 * (np.log2(candidates / USUAL) / SPREAD) ** 2)
    best = int(np.argmax(comb * prior))
    clarity = float(comb[best]) / sum(weight for _, weight in COMB)
    if clarity < CLEAR * max(1, WINDOW / len(onsets)):
        return None
    rival = _best_rival(comb * prior, candidates, best)
    confidence = np.clip(clarity / 0.5, 0, 1) * np.clip(2 * (1 - rival), 0.3, 1)
    return refine(onsets, float(candidates[best])), float(confidence)


def autocorrelation(onsets: Array) -> Array:
    """Mean over 12 s windows, 1 at lag 0, made up for the shrinking overlap."""
    if len(onsets) < WINDOW:
        onsets = np.pad(onsets, (0, WINDOW - len(onsets)))
    size = 2 ** int(np.ceil(np.log2(2 * WINDOW)))
    echo = np.zeros(size // 2)
    for start in range(0, len(onsets) - WINDOW + 1, WINDOW // 2):
        part = onsets[start : start + WINDOW]
        power = np.abs(fft.rfft(part - part.mean(), size)) ** 2
        own = fft.irfft(power)[: size // 2]
        echo += own / (own[0] + 1e-9)
    echo /= echo[0] + 1e-9
    return np.maximum(echo / np.maximum(1 - np.arange(len(echo)) / WINDOW, 0.2), 0)


def comb_scores(echo: Array, beats: Array) -> Array:
    """How well echoes after multiples of each beat (in frames) support it."""
    lags = np.arange(len(echo))
    scores = np.zeros(len(beats))
    for multiple, weight in COMB:
        near = [np.interp(beats * multiple * (1 + off), lags, echo) for off in (-0.004, 0, 0.004)]
        scores += weight * np.maximum.reduce(near)
    return scores


def refine(onsets: Array, tempo: float) -> float:
    """The tempo within 3 % whose pulse, with its halves and quarters, fits the whole song best."""
    tempos = np.linspace(tempo * 0.97, tempo * 1.03, 241)
    onsets = onsets - onsets.mean()
    fit = np.zeros(len(tempos))
    for multiple, weight in ((1, 1.0), (2, 1.0), (4, 0.6)):
        turns = -2j * np.pi * multiple * tempos / 60 / PER_SECOND
        total = np.zeros(len(tempos), complex)
        # In parts: the matrix of a whole hour would take over 1 GB. It is the same for each part,
        # but for a turn of all of it
        matrix = np.exp(np.outer(turns, np.arange(min(PART, len(onsets)))))
        for start in range(0, len(onsets), PART):
            part = onsets[start : start + PART]
            total += np.exp(turns * start) * (matrix[:, : len(part)] @ part)
        fit += weight * np.abs(total)
    return _top(tempos, fit)


def _top(tempos: Array, fit: Array) -> float:
    """Where the parabola through the best fit and its neighbours is highest."""
    best = int(np.clip(np.argmax(fit), 1, len(fit) - 2))
    below, here, above = fit[best - 1 : best + 2]
    bend = min(below - 2 * here + above, -1e-12)
    shift = np.clip((below - above) / 2 / bend, -1, 1)
    return float(tempos[best] + shift * (tempos[1] - tempos[0]))


def _best_rival(scores: Array, tempos: Array, best: int) -> float:
    """The best score at a tempo at least 8 % away, as a share of the best."""
    away = np.abs(np.log2(tempos / tempos[best])) > 0.11
    return float(scores[away].max() / (scores[best] + 1e-9))
