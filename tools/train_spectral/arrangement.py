"""Random arrangements: which note each instrument plays, and when. Pure: a generator decides all.

Eleven styles, described by their sixteenth notes in a 4/4 bar. What matters for training is variety
of texture (strummed, picked, sustained, distorted, programmed), not beauty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
CHORDS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (1, 4, 0, 0), (0, 3, 0, 4), (5, 3, 0, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 5, 3, 4), (0, 3, 6, 2), (0, 0, 5, 6)),
}
KICK, SNARE, CLAP, CLOSED_HAT, OPEN_HAT, CRASH = 36, 38, 39, 42, 46, 49
FILL = (48, 47, 45, 43)


class Note(NamedTuple):
    """Start and length in seconds, MIDI pitch, velocity 1..127."""

    start: float
    length: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Style:
    """Sixteenths at which each part sounds; programs are General MIDI numbers from zero."""

    tempo: tuple[int, int]
    kick: tuple[int, ...] = ()
    snare: tuple[int, ...] = (4, 12)
    hat: tuple[int, ...] = tuple(range(0, 16, 2))
    bass: tuple[tuple[int, int, int], ...] = ()  # (sixteenth, length, semitones above the root)
    guitar: str = ""
    guitar_program: int = 25
    piano: str = ""
    piano_program: int = 0
    pad_program: int | None = None


EIGHTHS = tuple((s, 2, 0) for s in range(0, 16, 2))
OFFBEATS = tuple((s, 2, 0) for s in (2, 6, 10, 14))
SYNCOPATED = ((0, 5, 0), (6, 2, 0), (8, 4, 0), (12, 2, 7), (14, 2, 12))
LONG = ((0, 8, 0), (8, 7, 7))
SUB = ((0, 6, 0), (7, 2, 0), (10, 5, 0))
SLAP = ((0, 1, 0), (3, 1, 12), (4, 1, 0), (6, 1, 10), (7, 1, 12), (10, 1, 0), (11, 1, 7))
ROOT_FIFTH = ((0, 4, 0), (8, 4, 7))
SIXTEENTHS = tuple(range(16))

STYLES = {
    "rock": Style((105, 170), (0, 8, 10), bass=EIGHTHS, guitar="power", guitar_program=29),
    "pop": Style((85, 135), (0, 7, 8), bass=SYNCOPATED, guitar="strum", piano="chord"),
    "ballad": Style((65, 90), (0, 8), bass=LONG, piano="arpeggio", pad_program=48),
    "dnb": Style((165, 176), (0, 10), hat=SIXTEENTHS, bass=SUB, piano="stab", piano_program=4,
                 pad_program=89),
    "funk": Style((92, 122), (0, 3, 10), hat=SIXTEENTHS, bass=SLAP, guitar="chop",
                  guitar_program=28, piano="stab", piano_program=4),
    "hiphop": Style((72, 102), (0, 3, 8, 11), bass=SUB, piano="chord", piano_program=4),
    "house": Style((118, 130), (0, 4, 8, 12), hat=(2, 6, 10, 14), bass=OFFBEATS, piano="stab",
                   pad_program=90),
    "country": Style((85, 130), (0, 8), bass=ROOT_FIFTH, guitar="strum", piano="chord"),
    "reggae": Style((68, 92), (8,), (8,), bass=SYNCOPATED, guitar="skank", guitar_program=27,
                    piano="skank", piano_program=16),
    "acoustic": Style((75, 130), (), (), (), bass=LONG, guitar="arpeggio", guitar_program=24),
    "metal": Style((120, 176), tuple(range(0, 16, 2)), hat=(0, 4, 8, 12), bass=EIGHTHS,
                   guitar="power", guitar_program=30),
}  # fmt: skip

RHYTHMS = {
    "strum": ((0, 4, 6, 10, 12, 14), 2.5),
    "chop": ((2, 3, 6, 10, 11, 14), 0.6),
    "skank": ((4, 12), 0.9),
    "power": ((0, 2, 4, 6, 8, 10, 12, 14), 1.8),
    "chord": ((0, 8), 7.2),
    "stab": ((3, 6, 11, 14), 1.2),
}


@dataclass
class Arrangement:
    """Notes of each instrument; `seconds` is the song's length with the last notes' tails."""

    style: Style
    seconds: float
    drums: list[Note] = field(default_factory=list)
    bass: list[Note] = field(default_factory=list)
    guitar: list[Note] = field(default_factory=list)
    piano: list[Note] = field(default_factory=list)
    pad: list[Note] = field(default_factory=list)
    melody: list[Note] = field(default_factory=list)


def arrange(
    style: Style, tempo: float, tonic: int, mode: str, seconds: float, rng: np.random.Generator
) -> Arrangement:
    """About `seconds` of music in 4/4: whole groups of four bars. `tonic` 0..11, 0 is C."""
    bar = 240.0 / tempo
    bars = max(4, round(seconds / bar / 4) * 4)
    song = Arrangement(style, bars * bar + 1.2)
    scale = [tonic + step for step in (MAJOR if mode == "major" else MINOR)]
    long_scale = scale + [p + 12 for p in scale] + [p + 24 for p in scale]
    progression = CHORDS[mode][rng.integers(len(CHORDS[mode]))]
    for index in range(bars):
        degree = progression[index % 4]
        chord = [long_scale[degree + step] for step in (0, 2, 4)]
        _Bar(song, index * bar, bar / 16, index, chord, scale, rng).write()
    return song


class _Bar:
    """One bar: writes every instrument's notes into the song."""

    def __init__(
        self,
        song: Arrangement,
        start: float,
        step: float,
        index: int,
        chord: list[int],
        scale: list[int],
        rng: np.random.Generator,
    ) -> None:
        self.song, self.start, self.step, self.index = song, start, step, index
        self.chord, self.scale, self.rng = chord, scale, rng

    def note(self, sixteenth: float, length: float, pitch: int, velocity: float) -> Note:
        late = self.rng.normal() * 0.004
        start = max(0.0, self.start + sixteenth * self.step + late)
        return Note(start, length * self.step, pitch, velocity + self.rng.normal() * 6)

    def write(self) -> None:
        self.drums()
        self.bass()
        self.chords(self.song.guitar, self.song.style.guitar, 52)
        self.chords(self.song.piano, self.song.style.piano, 60)
        if self.song.style.pad_program is not None:
            self.song.pad += [self.note(0, 15.5, p, 62) for p in self.voicing(60)]
        # The voice rests in the first bar and in every eighth: training needs songs without one.
        if self.index >= 1 and self.index % 8 != 7:
            self.melody()

    def voicing(self, low: int) -> list[int]:
        notes = sorted(low + (p - low) % 12 for p in self.chord)
        return [*notes, notes[0] + 12]

    def drums(self) -> None:
        style, out = self.song.style, self.song.drums
        snare = CLAP if style.hat == (2, 6, 10, 14) else SNARE
        out += [self.note(s, 1, KICK, 106) for s in style.kick]
        out += [self.note(s, 1, snare, 104) for s in style.snare]
        out += [self.note(s, 1, CLOSED_HAT, 80 if s % 4 == 0 else 62) for s in style.hat]
        if style.hat and self.rng.random() < 0.3:
            out.append(self.note(style.hat[-1], 2, OPEN_HAT, 76))
        if style.kick and self.index % 4 == 0:
            out.append(self.note(0, 8, CRASH, 96))
        if style.kick and self.index % 4 == 3:
            out += [self.note(12 + k, 1, tom, 92) for k, tom in enumerate(FILL)]

    def bass(self) -> None:
        root = 28 + (self.chord[0] - 28) % 12
        for sixteenth, length, up in self.song.style.bass:
            pitch = root + up if root + up < 52 else root + up - 12
            self.song.bass.append(self.note(sixteenth, length * 0.92, pitch, 98))

    def chords(self, out: list[Note], part: str, low: int) -> None:
        if part == "arpeggio":
            order, notes = (0, 1, 2, 3, 2, 1, 2, 1), self.voicing(low)
            out += [self.note(2 * k, 5, notes[order[k]], 80) for k in range(8)]
        elif part:
            root = 40 + (self.chord[0] - 40) % 12
            notes = [root, root + 7, root + 12] if part == "power" else self.voicing(low)
            steps, length = RHYTHMS[part]
            for step in steps:
                # strings are struck one after the other
                out += [self.note(step + 0.06 * k, length, p, 82) for k, p in enumerate(notes)]

    def melody(self) -> None:
        pitches = [p for p in range(55, 73) if (p - self.scale[0]) % 12 in
                   [(s - self.scale[0]) % 12 for s in self.scale]]  # fmt: skip
        out = self.song.melody
        last = out[-1].pitch if out else 62
        at = 0
        while at < 14:
            length = min(int(self.rng.choice([2, 2, 3, 4, 4, 6, 8])), 16 - at)
            near = np.exp(-np.abs(np.array(pitches) - last) / 2.5)
            last = int(self.rng.choice(pitches, p=near / near.sum()))
            out.append(Note(self.start + at * self.step, length * self.step * 0.93, last, 100))
            at += length + (2 if self.rng.random() < 0.15 else 0)
