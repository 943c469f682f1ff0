"""Renders the made songs: one folder a song, one FLAC a stem, all of it decided by a seed.

Needs `fluidsynth`, the MIT-licensed sound font of `fluid-soundfont-gm` and `espeak-ng`.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mido
import numpy as np
import soundfile
from arrangement import STYLES, Arrangement, Note, arrange
from scipy.signal import butter, fftconvolve, sosfilt
from voice import VOICES, sing

RATE = 44100
SOUND_FONT = "/usr/share/sounds/sf2/FluidR3_GM.sf2"
DRUM_CHANNEL = 9
TICKS = 960  # a quarter note, at 120 BPM: 1,920 ticks a second
# Level of each stem while it sounds, dB against the voice, before a random +-3 dB.
LEVELS = {"vocals": 0.0, "drums": -0.5, "bass": -2.5, "guitar": -4.0, "piano": -5.0, "other": -7.0}
HELD_OUT = 1000  # seeds from here on are never trained on


@dataclass(frozen=True)
class Song:
    """What is rendered: everything else follows from the seed."""

    seed: int
    style: str
    seconds: float = 24.0

    @property
    def name(self) -> str:
        return f"{self.seed:04d}_{self.style}"


def catalogue(count: int, *, first: int = 0) -> list[Song]:
    """`count` songs, the styles in turn."""
    names = list(STYLES)
    return [Song(first + i, names[i % len(names)]) for i in range(count)]


def midi_file(notes: list[Note], program: int, channel: int) -> mido.MidiFile:
    """One instrument's notes; a note's end comes before the next one's start at the same tick."""
    events: list[tuple[float, int, Any]] = [
        (0.0, 0, mido.Message("program_change", channel=channel, program=program))
    ]
    for note in notes:
        on = {"channel": channel, "note": int(note.pitch)}
        velocity = int(np.clip(note.velocity, 1, 127))
        events.append((note.start, 2, mido.Message("note_on", velocity=velocity, **on)))
        events.append((note.start + note.length, 1, mido.Message("note_off", **on)))
    events.sort(key=lambda event: event[:2])
    track, last = mido.MidiTrack(), 0
    for seconds, _, message in events:
        tick = round(seconds * 2 * TICKS)
        track.append(message.copy(time=tick - last))
        last = tick
    return mido.MidiFile(ticks_per_beat=TICKS, tracks=[track])


def render(notes: list[Note], program: int, seconds: float, reverb: float, channel: int = 0) -> Any:
    """Float32 (samples, 2), exactly `seconds` long."""
    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder) / "a.mid", Path(folder) / "a.wav"
        midi_file(notes, program, channel).save(score)
        command = ["fluidsynth", "-ni", "-q", "-F", wave, "-T", "wav", "-O", "float"]
        command += ["-r", str(RATE), "-g", "0.6", "-o", f"synth.reverb.level={reverb:.2f}"]
        subprocess.run([*command, SOUND_FONT, score], check=True, capture_output=True)
        sound, _ = soundfile.read(wave, dtype="float32", always_2d=True)
    length = int(seconds * RATE)
    return np.pad(sound, ((0, max(0, length - len(sound))), (0, 0)))[:length]


def place(sound: Any, pan: float, width: float = 1.0) -> Any:
    """Constant-power balance, -1 left to 1 right; width 0 is mono."""
    stereo = np.repeat(sound[:, None], 2, 1) if sound.ndim == 1 else sound
    middle = stereo.mean(1, keepdims=True)
    angle = (pan + 1) * np.pi / 4
    gains = np.array([np.cos(angle), np.sin(angle)]) * np.sqrt(2)
    return (middle + (stereo - middle) * width) * gains


def reverberate(sound: Any, seconds: float, wet: float, rng: np.random.Generator) -> Any:
    """Adds a decaying stereo noise tail, 12 ms late, as a room would."""
    length = int(seconds * RATE)
    tail = rng.normal(size=(length, 2)) * np.exp(-6.9 * np.arange(length) / length)[:, None]
    tail[: int(0.012 * RATE)] = 0
    tail = sosfilt(butter(1, [200, 7000], "band", fs=RATE, output="sos"), tail, axis=0)
    tail /= np.sqrt((tail**2).sum(0))
    return sound + wet * fftconvolve(sound, tail, axes=0)[: len(sound)]


def sing_voice(notes: Arrangement, rng: np.random.Generator) -> Any:
    """The lead, near the centre; in a third of the songs doubled by two quieter, panned voices."""
    voice = VOICES[rng.integers(len(VOICES))]
    down = 12 if "+m" in voice else 0  # men sing lower
    melody = [n._replace(pitch=n.pitch - down // 2) for n in notes.melody]
    lead = place(sing(melody, notes.seconds, voice, rng), float(rng.choice([0, 0, 0, 0.3, -0.3])))
    if rng.random() < 0.33:
        third = [n._replace(start=n.start + 0.012, pitch=n.pitch + 4) for n in melody[::2]]
        lead = lead + 0.4 * place(sing(third, notes.seconds, VOICES[2], rng), -0.5)
        lead = lead + 0.4 * place(sing(third, notes.seconds, VOICES[4], rng), 0.5)
    return reverberate(lead, rng.uniform(0.7, 1.6), rng.uniform(0.1, 0.35), rng)


def stems_of(song: Song) -> tuple[dict[str, Any], dict[str, Any]]:
    """The stems, float32 (samples, 2) each, and the facts: tempo and key."""
    rng = np.random.default_rng(song.seed)
    style = STYLES[song.style]
    tempo, tonic = float(rng.integers(*style.tempo)), int(rng.integers(12))
    mode = "major" if rng.random() < 0.45 else "minor"
    notes = arrange(style, tempo, tonic, mode, song.seconds, rng)
    room, seconds = float(rng.uniform(0.2, 0.8)), notes.seconds
    stems: dict[str, Any] = {}
    if notes.drums:
        kit = int(rng.choice([0, 0, 8, 16, 25, 26]))
        stems["drums"] = render(notes.drums, kit, seconds, room, DRUM_CHANNEL)
    program = int(rng.choice([32, 33, 34, 35, 36, 38, 39]))
    stems["bass"] = place(render(notes.bass, program, seconds, room), 0, 0.2)
    side = float(rng.choice([-1, 1]))
    if notes.guitar:
        sound = render(notes.guitar, style.guitar_program, seconds, room)
        stems["guitar"] = place(sound, side * rng.uniform(0.2, 0.8))
    if notes.piano:
        sound = render(notes.piano, style.piano_program, seconds, room)
        stems["piano"] = place(sound, -side * rng.uniform(0, 0.7))
    if notes.pad:
        stems["other"] = render(notes.pad, style.pad_program or 89, seconds, room)
    if rng.random() < 0.85:
        stems["vocals"] = sing_voice(notes, rng)
    return balance(stems, rng), {"bpm": tempo, "tonic": tonic, "mode": mode}


def balance(stems: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Sets the levels, and the mix to a peak of -1 dB."""
    for name, sound in stems.items():
        loud = np.abs(sound).max(1)
        level = np.sqrt((sound[loud > 0.02 * loud.max()] ** 2).mean()) + 1e-9
        stems[name] = sound / level * 10 ** ((LEVELS[name] + rng.normal() * 1.5) / 20)
    peak = np.abs(sum(stems.values())).max()
    return {name: (sound * 0.89 / peak).astype(np.float32) for name, sound in stems.items()}


def write_song(song: Song, folder: Path) -> Path:
    """Renders a song into `folder`/<its name>, unless it is there already."""
    target = folder / song.name
    if (target / "facts.json").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    stems, facts = stems_of(song)
    for name, sound in stems.items():
        soundfile.write(target / f"{name}.flac", sound, RATE, "PCM_16")
    (target / "facts.json").write_text(json.dumps(facts))
    return target
