"""Makes a short song with known tempo, key and stems: numpy only, the same for the same seed.

Used by `stemwatch demo` and by the tests. Drums, bass, two panned chord parts and a lead with
vibrato in the middle, in 4/4, over four chords of half a bar that leave no doubt about the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from stemwatch.audio.codec import Encoder
from stemwatch.server.engines.spectral.stft import Array

RATE = 44_100
NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
CHORDS = (0, 3, 4, 0)  # I IV V I: every note of the scale, and an unmistakable tonic
LEVELS = {"vocals": 0.30, "drums": 0.55, "bass": 0.32, "guitar": 0.16, "piano": 0.14}
DEMO_KEY, DEMO_BPM, DEMO_SECONDS = "A minor", 112.0, 24.0


@dataclass(frozen=True, slots=True)
class SongFacts:
    """What is true of a made song: beats a minute, key like "C# minor", seconds of audio."""

    bpm: float
    key: str
    duration: float


def write_demo_song(path: str) -> SongFacts:
    """The demo's song, as 16-bit WAV. Raises OSError."""
    return write_song(path, seconds=DEMO_SECONDS, bpm=DEMO_BPM, key=DEMO_KEY, seed=1, format="wav")


def write_song(
    path: str,
    *,
    seconds: float = 10.0,
    bpm: float = 112.0,
    key: str = "A minor",
    seed: int = 0,
    format: str = "wav",
) -> SongFacts:
    """Write a made song as wav, flac or mp3, whatever `path` ends with. Raises OSError."""
    mix, _ = make_song(seconds=seconds, bpm=bpm, key=key, seed=seed)
    with Encoder(path, format, rate=RATE) as encoder:
        encoder.write(mix)
    return SongFacts(bpm, key, len(mix) / RATE)


def make_song(
    *, seconds: float = 10.0, bpm: float = 112.0, key: str = "A minor", seed: int = 0
) -> tuple[Array, dict[str, Array]]:
    """(mix, stems): float32 (samples, 2) at 44.1 kHz, peak 0.9, `seconds` long to the sample.

    The stems (vocals, drums, bass, guitar, piano) sum to the mix. Raises ValueError on a key that
    is not a note of NOTES and "major" or "minor".
    """
    tonic, mode = key.split()
    band = _Band(seconds, bpm, NOTES.index(tonic), mode, np.random.default_rng(seed))
    parts = band.play()
    mix: Array = np.stack(list(parts.values())).sum(0)
    gain = 0.9 / max(float(np.abs(mix).max(initial=0.0)), 1e-9)
    stems = {name: (sound * gain).astype(np.float32) for name, sound in parts.items()}
    mix = np.stack(list(stems.values())).sum(0)
    return mix, stems


class _Band:
    """Plays the parts, bar by bar, into arrays of the song's length."""

    def __init__(
        self, seconds: float, bpm: float, tonic: int, mode: str, rng: np.random.Generator
    ) -> None:
        self.length = round(seconds * RATE)
        self.beat = 60 / bpm
        self.bars = int(np.ceil(seconds / (4 * self.beat)))
        self.scale = [tonic + step + 12 * octave for octave in (0, 1, 2) for step in SCALES[mode]]
        self.rng = rng
        self.noise = rng.normal(size=RATE).astype(np.float32)

    def play(self) -> dict[str, Array]:
        sounds = {
            "vocals": _to_stereo(self.lead(), 0.0),
            "drums": _to_stereo(self.drums(), 0.0) + _to_stereo(self.hats(), 0.3),
            "bass": _to_stereo(self.bass(), 0.0),
            "guitar": _to_stereo(self.strummed(), -0.6),
            "piano": _to_stereo(self.held(), 0.5),
        }
        return {name: sound * LEVELS[name] for name, sound in sounds.items()}

    def chord(self, half: int) -> list[int]:
        """Semitones above C of the triad in the song's half bar number `half`."""
        degree = CHORDS[half % len(CHORDS)]
        return [self.scale[degree + step] for step in (0, 2, 4)]

    def add(self, out: Array, beats: float, sound: Array) -> None:
        start = round(beats * self.beat * RATE)
        stop = min(start + len(sound), len(out))
        if start < stop:
            out[start:stop] += sound[: stop - start]

    def drums(self) -> Array:
        """Kick on one and three, snare on two and four."""
        out = np.zeros(self.length, np.float32)
        kick, snare = _kick(), _snare(self.noise)
        for beat in range(self.bars * 4):
            self.add(out, beat, snare if beat % 2 else kick)
        return out

    def hats(self) -> Array:
        out = np.zeros(self.length, np.float32)
        bright = np.diff(self.noise[: RATE // 12], prepend=0)
        hat = bright * np.exp(-np.arange(len(bright)) / (0.015 * RATE))
        for half in range(self.bars * 8):
            self.add(out, half / 2, hat * (0.16 if half % 2 else 0.24))
        return out

    def bass(self) -> Array:
        out = np.zeros(self.length, np.float32)
        for half in range(self.bars * 2):
            root = 28 + (self.chord(half)[0] - 4) % 12
            for beat, length in ((0, 1.4), (1.5, 0.45)):
                note = _tone(root, length * self.beat, partials=4, fade=0.6)
                self.add(out, half * 2 + beat, note)
        return out

    def strummed(self) -> Array:
        out = np.zeros(self.length, np.float32)
        for half in range(self.bars * 2):
            for beat in (0, 0.5, 1, 1.5):
                for number, step in enumerate(self.chord(half)):
                    note = _tone(52 + (step - 4) % 12, 0.9 * self.beat, partials=4, fade=0.25)
                    self.add(out, half * 2 + beat + 0.01 * number, note)
        return out

    def held(self) -> Array:
        out = np.zeros(self.length, np.float32)
        for half in range(self.bars * 2):
            for step in self.chord(half):
                note = _tone(60 + step % 12, 1.95 * self.beat, partials=4, fade=1.2)
                self.add(out, half * 2, note)
        return out

    def lead(self) -> Array:
        """Notes of the chords, the third most of all; silent in the first bar and every fourth."""
        out = np.zeros(self.length, np.float32)
        for half in range(2, self.bars * 2):
            if half % 8 < 2:
                continue
            triad = self.chord(half)
            for beat, length in ((0, 1.2), (1.25, 0.7)):
                pitch = 60 + triad[self.rng.choice([0, 1, 1, 2])] % 12
                self.add(out, half * 2 + beat, _voice(pitch, length * self.beat))
        return out


def _hz(pitch: float) -> float:
    return float(440 * 2 ** ((pitch - 69) / 12))


def _edges(length: int) -> Array:
    """1 with 5 ms ramps at both ends, so that notes don't click."""
    distance = np.minimum(np.arange(length), np.arange(length)[::-1])
    ramp: Array = np.minimum(1, distance / (0.005 * RATE))
    return ramp


@cache
def _tone(pitch: float, seconds: float, *, partials: int, fade: float) -> Array:
    """A plucked tone: partials that fall as 1/n, gone after about `fade` seconds."""
    time = np.arange(round(seconds * RATE)) / RATE
    numbers = np.arange(1, partials + 1)[:, None]
    waves = np.sin(2 * np.pi * _hz(pitch) * numbers * time) / numbers
    shaped = waves.sum(0) * np.exp(-time / fade) * _edges(len(time))
    sound: Array = shaped.astype(np.float32)
    return sound


@cache
def _voice(pitch: float, seconds: float) -> Array:
    """A sung vowel: many partials under two formants, with vibrato that sets in late."""
    time = np.arange(round(seconds * RATE)) / RATE
    vibrato = 0.3 * np.clip((time - 0.1) / 0.2, 0, 1) * np.sin(2 * np.pi * 5.5 * time)
    phase = 2 * np.pi * np.cumsum(_hz(pitch) * 2 ** (vibrato / 12)) / RATE
    numbers = np.arange(1, 13)
    hz = numbers * _hz(pitch)
    formants = sum(np.exp(-(((hz - middle) / 350) ** 2)) for middle in (700, 1200, 2600))
    amplitudes = (formants + 0.05) / np.sqrt(numbers)
    waves = (np.sin(numbers[:, None] * phase) * amplitudes[:, None]).sum(0)
    swell = np.minimum(1, time / 0.06)
    sound: Array = (waves * swell * _edges(len(time))).astype(np.float32)
    return sound


def _kick() -> Array:
    time = np.arange(round(0.25 * RATE)) / RATE
    sweep = 2 * np.pi * np.cumsum(45 + 110 * np.exp(-time / 0.03)) / RATE
    return (np.sin(sweep) * np.exp(-time / 0.09)).astype(np.float32)


def _snare(noise: Array) -> Array:
    time = np.arange(round(0.2 * RATE)) / RATE
    body = 0.4 * np.sin(2 * np.pi * 190 * time) * np.exp(-time / 0.05)
    rattle = 0.35 * noise[: len(time)] * np.exp(-time / 0.06)
    return (body + rattle).astype(np.float32)


def _to_stereo(sound: Array, pan: float) -> Array:
    """Pan a sound with constant power, -1 is left, 1 right; float32 (samples, 2)."""
    angle = (pan + 1) * np.pi / 4
    gains = np.array([np.cos(angle), np.sin(angle)], np.float32)
    return sound[:, None] * gains
