"""The 24 cues of every cell (band, frame) that the network judges by, and the repetition cue.

Each cue answers one question a listener might ask: is it a click or a tone, in the middle or at
the side, beginning or lasting, sharp or blurred, high or low, loud or soft.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter, uniform_filter1d

from stemwatch.server.engines.spectral import bands, percussive, repetition
from stemwatch.server.engines.spectral.hands import ALONE, Hands
from stemwatch.server.engines.spectral.percussive import TINY
from stemwatch.server.engines.spectral.stft import Array, frames_of, stft

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
NEAR = (5, 15)  # frames, bands
AT_ONCE = 32  # frames whose spectrum stays in a core's cache
LOW_HZ = 160
VOICE_HZ = (250, 4000)


class Cues(NamedTuple):
    """What is known of a block of sound.

    `spectrum` (2, frames, bins) complex, `power` (frames, bands), `repeating` (frames, bands): the
    share of each cell's magnitude that comes again elsewhere, 0 to 1. The cues themselves are asked
    for by frames: all of them at once would be a third of a block's memory.
    """

    spectrum: Array
    power: Array
    repeating: Array
    sheet: Sheet

    @property
    def values(self) -> Array:
        """All of them, (24, frames, bands), in the order of NAMES."""
        return self.sheet.of(slice(0, len(self.power)))


class Sheet:
    """The cues by name: (frames, bands), or (1, bands) or (frames, 1) where they are all alike."""

    def __init__(self) -> None:
        self._cues: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        return self._cues[name]

    def __setitem__(self, name: str, cue: Array) -> None:
        self._cues[name] = cue

    def of(self, frames: slice) -> Array:
        """(24, frames, bands) of some of the frames, in the order of NAMES."""
        cues = {**self._cues, **self._of_level(frames)}
        out = np.empty((len(NAMES), frames.stop - frames.start, bands.COUNT), np.float32)
        for number, name in enumerate(NAMES):
            cue = cues[name]
            out[number] = cue if len(cue) == 1 or name in _OF_LEVEL else cue[frames]
        return out

    def _of_level(self, frames: slice) -> dict[str, Array]:
        """Four cues are differences of the log level, and made when they are asked for."""
        log = self["log"]
        here, number = log[frames], np.arange(frames.start, frames.stop)
        earlier = np.where(number >= FAST, number - FAST, number)  # zero where there is no earlier
        later = np.where(number + SLOW < len(log), number + SLOW, number)
        made = (
            here - self["usual"],
            here - self["loudest"][frames],
            here - log[earlier],
            log[later] - here,
        )
        return dict(zip(_OF_LEVEL, made, strict=True))


_OF_LEVEL = ("level", "level_in_frame", "onset", "rise_ahead")


def listen(sound: Array, hands: Hands = ALONE) -> Cues:
    """The cues of `sound`: float32 (samples, 2) at 44.1 kHz, a few seconds to half a minute."""
    frames = frames_of(len(sound), bands.SIZE, bands.HOP)
    short = hands.begin(percussive.of_short_window, sound, frames)
    long = hands.begin(percussive.of_long_window, sound, frames)
    spectrum = stft(sound, bands.SIZE, bands.HOP)
    left, right, together, apart = _stereo_powers(spectrum)
    power = left + right
    density = power / bands.WIDTHS
    sheet = Sheet()
    sheet["click"] = percussive.of_bands(density)
    np.sqrt(density, out=density)
    background = repetition.background(density, FRAMES_PER_SECOND, hands)
    _stereo(sheet, left, right, together, apart)
    del left, right, together, apart
    _levels(sheet, density)
    sheet["click_long"] = sheet["click"].copy()
    sheet["click_long"][:, : bands.SINGLE] = long()
    sheet["click_short"] = short()
    magnitude = np.sqrt(power)
    _surroundings(sheet, magnitude)
    _whole_frames(sheet, magnitude)
    repeating = background()
    repeating /= density + TINY
    return Cues(spectrum, power, repeating, sheet)


def _stereo_powers(spectrum: Array) -> Array:
    """Banded power left and right, and the real and imaginary part of left times conj(right)."""
    out = np.empty((4, spectrum.shape[1], bands.COUNT), np.float32)
    for first in range(0, spectrum.shape[1], AT_ONCE):
        frames = slice(first, first + AT_ONCE)
        # Not as views into the pairs: half as fast
        left, right = (np.ascontiguousarray(part) for part in spectrum[:, frames].real)
        left_i, right_i = (np.ascontiguousarray(part) for part in spectrum[:, frames].imag)
        out[0, frames] = bands.to_bands(left * left + left_i * left_i)
        out[1, frames] = bands.to_bands(right * right + right_i * right_i)
        out[2, frames] = bands.to_bands(left * right + left_i * right_i)
        out[3, frames] = bands.to_bands(left_i * right - left * right_i)
    return out


def _stereo(cues: Sheet, left: Array, right: Array, together: Array, apart: Array) -> None:
    """The four powers are spoiled: no copies of them are held."""
    total = left.sum(0) + right.sum(0)
    cues["song_width"] = ((total - 2 * together.sum(0)) / 2 / (total + TINY))[None]
    for values in (left, right, together, apart):
        uniform_filter(values, 3, output=values, mode="nearest")
    # Running sums can leave a tiny negative power after a loud passage
    for values in (left, right):
        np.maximum(values, 0, out=values)
    both = left + right
    both += TINY
    centred = 2 * together
    centred /= both
    cues["centred"] = np.clip(centred, -1, 1, out=centred)
    panned = np.abs(left - right)
    panned /= both
    cues["panned"] = panned
    # `together` and `apart` become the cross power, `left` that of both sides
    together *= together
    apart *= apart
    together += apart
    left *= right
    left += TINY
    together /= left
    np.sqrt(together, out=together)
    cues["coherent"] = np.minimum(together, 1)


def _levels(cues: Sheet, density: Array) -> None:
    log = np.log(density + 1e-4 * density.max() + 1e-9)
    cues["log"] = log
    cues["usual"] = gaussian_filter1d(log.mean(0), 3)[None]
    cues["loudest"] = log.max(1)[:, None]
    cues["peak"] = log - uniform_filter1d(log, 9, axis=1)
    pitch = np.log2(np.maximum(bands.HZ, 20) / 1000)[None] / 3
    cues["pitch"] = pitch
    cues["pitch_squared"] = pitch**2
    moved = np.abs(log - uniform_filter1d(log, STEADY, axis=0))
    cues["flicker"] = uniform_filter1d(moved, STEADY, axis=0)


def _rise(log: Array, frames: int) -> Array:
    """How much more than `frames` earlier; zero where there is no earlier."""
    out = np.zeros_like(log)
    out[frames:] = log[frames:] - log[:-frames]
    return out


def _surroundings(cues: Sheet, magnitude: Array) -> None:
    around = uniform_filter(magnitude, NEAR, mode="nearest") + TINY
    for near, cue in (
        ("click_long_near", "click_long"),
        ("click_short_near", "click_short"),
        ("centred_near", "centred"),
    ):
        cues[near] = uniform_filter(cues[cue] * magnitude, NEAR, mode="nearest")
        cues[near] /= around


def _whole_frames(cues: Sheet, magnitude: Array) -> None:
    total = magnitude.sum(1) + TINY
    cues["frame_click"] = ((cues["click"] * magnitude).sum(1) / total)[:, None]
    low = magnitude[:, bands.HZ < LOW_HZ].sum(1)
    cues["low_share"] = (low / total)[:, None]
    cues["low_onset"] = _rise(np.log(low + 1e-3 * low.max() + 1e-9), FAST)[:, None]
    first, last = np.searchsorted(bands.HZ, VOICE_HZ)
    voice = slice(int(first), int(last))
    weight = magnitude[:, voice] / (magnitude[:, voice].sum(1) + TINY)[:, None]
    for name, cue in (
        ("frame_centred", "centred"),
        ("frame_panned", "panned"),
        ("frame_peak", "peak"),
    ):
        cues[name] = (cues[cue][:, voice] * weight).sum(1)[:, None]
