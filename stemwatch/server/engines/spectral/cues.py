"""The 24 cues of every cell (band, frame) that the network judges by, and the repetition cue.

Each cue answers one question a listener might ask: is it a click or a tone, in the middle or at
the side, beginning or lasting, sharp or blurred, high or low, loud or soft.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter, uniform_filter1d

from stemwatch.server.engines.spectral import bands, percussive, repetition
from stemwatch.server.engines.spectral.percussive import TINY
from stemwatch.server.engines.spectral.stft import Array, stft

# In the order of the network's inputs; the weights belong to this order and to these definitions.
NAMES = (
    "click",  # percussiveness on the grid,
    "click_long",  # with a long window,
    "click_short",  # with a short one
    "centred",  # 1: the same left and right, 0: unrelated or one-sided, -1: opposite
    "panned",  # 0 middle to 1 one side only
    "coherent",  # do left and right go together, wherever it is panned
    "level",  # log, against the band's average
    "level_in_frame",  # log, against the frame's loudest band
    "onset",  # rise of the log level in 46 ms
    "rise_ahead",  # how much louder it is 93 ms later
    "peak",  # log level against neighbouring bands: partials stick out
    "pitch",  # log frequency
    "pitch_squared",
    "song_width",  # how much of the band's power is side, over the whole block
    "click_long_near",  # power-weighted means over 15 bands and 116 ms
    "click_short_near",
    "frame_click",  # power-weighted means over the frame
    "frame_centred",
    "low_onset",  # rise of everything below 160 Hz: kick and bass notes
    "frame_peak",
    "low_share",  # share of the level below 160 Hz
    "frame_panned",
    "centred_near",
    "flicker",  # how much the log level moves within 0.25 s
)
FRAMES_PER_SECOND = bands.RATE / bands.HOP
FAST = 2  # frames: 46 ms
SLOW = 4  # 93 ms
STEADY = 11  # 0.25 s, odd
NEAR = (15, 5)  # bands, frames
LOW_HZ = 160
VOICE_HZ = (250, 4000)


class Cues(NamedTuple):
    """What is known of a block of sound.

    `spectrum` (2, bins, frames) complex, `power` (bands, frames), `values` (24, bands, frames) in
    the order of NAMES, `repeating` (bands, frames): the share of each cell's magnitude that comes
    again elsewhere, 0 to 1.
    """

    spectrum: Array
    power: Array
    values: Array
    repeating: Array


def listen(sound: Array) -> Cues:
    """The cues of `sound`: float32 (samples, 2) at 44.1 kHz, a few seconds to half a minute."""
    spectrum = stft(sound, bands.SIZE, bands.HOP)
    left, right, together, apart = _stereo_powers(spectrum)
    power = left + right
    magnitude = np.sqrt(power)
    density = np.sqrt(power / bands.WIDTHS[:, None])
    cues = _Sheet(power.shape)
    _clicks(cues, sound, density)
    _stereo(cues, left, right, together, apart)
    _levels(cues, density)
    _surroundings(cues, magnitude)
    _whole_frames(cues, magnitude)
    repeating = repetition.background(density, FRAMES_PER_SECOND) / (density + TINY)
    return Cues(spectrum, power, cues.values, repeating)


class _Sheet:
    """The array of cues, by name."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.values: Array = np.empty((len(NAMES), *shape), np.float32)

    def __getitem__(self, name: str) -> Array:
        cue: Array = self.values[NAMES.index(name)]
        return cue

    def __setitem__(self, name: str, cue: Array | float) -> None:
        self.values[NAMES.index(name)] = cue


def _stereo_powers(spectrum: Array) -> tuple[Array, Array, Array, Array]:
    """Banded power left and right, and the real and imaginary part of left times conj(right)."""
    left, right = spectrum
    return (
        bands.to_bands(left.real**2 + left.imag**2),
        bands.to_bands(right.real**2 + right.imag**2),
        bands.to_bands(left.real * right.real + left.imag * right.imag),
        bands.to_bands(left.imag * right.real - left.real * right.imag),
    )


def _clicks(cues: _Sheet, sound: Array, density: Array) -> None:
    frames = density.shape[1]
    cues["click"] = percussive.of_bands(density)
    cues["click_long"] = cues["click"]
    cues["click_long"][: bands.SINGLE] = percussive.of_long_window(sound, frames)
    cues["click_short"] = percussive.of_short_window(sound, frames)


def _stereo(cues: _Sheet, left: Array, right: Array, together: Array, apart: Array) -> None:
    power = left + right
    side = (power - 2 * together).sum(1) / 2 / (power.sum(1) + TINY)
    cues["song_width"] = side[:, None]
    near = [uniform_filter(a, 3, mode="nearest") for a in (left, right, together, apart)]
    # Running sums can leave a tiny negative power after a loud passage
    left, right = np.maximum(near[0], 0), np.maximum(near[1], 0)
    both = left + right + TINY
    cues["centred"] = np.clip(2 * near[2] / both, -1, 1)
    cues["panned"] = np.abs(left - right) / both
    cross = near[2] ** 2 + near[3] ** 2
    cues["coherent"] = np.minimum(np.sqrt(cross / (left * right + TINY)), 1)


def _levels(cues: _Sheet, density: Array) -> None:
    log = np.log(density + 1e-4 * density.max() + 1e-9)
    cues["level"] = log - gaussian_filter1d(log.mean(1), 3)[:, None]
    cues["level_in_frame"] = log - log.max(0)
    cues["onset"] = _rise(log, FAST)
    cues["rise_ahead"] = 0
    cues["rise_ahead"][:, :-SLOW] = log[:, SLOW:] - log[:, :-SLOW]
    cues["peak"] = log - uniform_filter1d(log, 9, axis=0)
    pitch = np.log2(np.maximum(bands.HZ, 20) / 1000)[:, None] / 3
    cues["pitch"] = pitch
    cues["pitch_squared"] = pitch**2
    moved = np.abs(log - uniform_filter1d(log, STEADY, axis=1))
    cues["flicker"] = uniform_filter1d(moved, STEADY, axis=1)


def _rise(log: Array, frames: int) -> Array:
    """How much more than `frames` earlier; zero where there is no earlier."""
    out = np.zeros_like(log)
    out[..., frames:] = log[..., frames:] - log[..., :-frames]
    return out


def _surroundings(cues: _Sheet, magnitude: Array) -> None:
    around = uniform_filter(magnitude, NEAR, mode="nearest") + TINY
    for near, cue in (
        ("click_long_near", "click_long"),
        ("click_short_near", "click_short"),
        ("centred_near", "centred"),
    ):
        cues[near] = uniform_filter(cues[cue] * magnitude, NEAR, mode="nearest") / around


def _whole_frames(cues: _Sheet, magnitude: Array) -> None:
    total = magnitude.sum(0) + TINY
    cues["frame_click"] = (cues["click"] * magnitude).sum(0) / total
    low = magnitude[bands.HZ < LOW_HZ].sum(0)
    cues["low_share"] = low / total
    cues["low_onset"] = _rise(np.log(low + 1e-3 * low.max() + 1e-9), FAST)
    voice = (VOICE_HZ[0] < bands.HZ) & (VOICE_HZ[1] > bands.HZ)
    weight = magnitude[voice] / (magnitude[voice].sum(0) + TINY)
    cues["frame_centred"] = (cues["centred"][voice] * weight).sum(0)
    cues["frame_panned"] = (cues["panned"][voice] * weight).sum(0)
    cues["frame_peak"] = (cues["peak"][voice] * weight).sum(0)
