"""First beat, grid, tuning, and how sure the server is, in songs where they are known."""

from __future__ import annotations

import os

import numpy as np
import pytest

from stemwatch.server.analysis import Analyser, Analysis
from stemwatch.server.analysis.beginning import Beginning
from stemwatch.server.analysis.downmix import RATE as HALVED
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.made_song import make_song
from tests.support.grooves import GROOVES, RATE, groove_song

NEAR = 0.02  # seconds
# Each groove at each kind of tempo; more of them: STEMWATCH_TEST_GROOVES=40 pytest -k nine
SONGS = int(os.environ.get("STEMWATCH_TEST_GROOVES", "24"))


def analyse(sound: Array) -> Analysis:
    analyser = Analyser()
    for start in range(0, len(sound), 65_536):
        analyser.add(sound[start : start + 65_536].astype(np.float32))
    return analyser.result()


def off_the_grid(heard: Analysis, at: float) -> float:
    """Seconds from the nearest beat of the grid that was heard."""
    assert heard.bpm is not None
    assert heard.first_beat is not None
    beats = (at - heard.first_beat) * heard.bpm / 60
    return abs(beats - round(beats)) * 60 / heard.bpm


def test_nine_first_beats_of_ten_are_within_20_ms() -> None:
    """Eight grooves, 70 to 180 BPM with fractions, up to 2 s of silence, off-beats and hiss.

    Where the tempo is heard an octave off, the first beat is still the song's first.
    """
    rng = np.random.default_rng(7)
    found = []
    for number in range(SONGS):
        groove = list(GROOVES)[number % len(GROOVES)]
        bpm = [124.57, 128.0, round(rng.uniform(70, 180), 2)][number % 3]
        first = rng.uniform(0, 2) * (number % 5 > 0)
        noise = [0.0, 0.0003, 0.001][number % 4 % 3]
        song = groove_song(groove, bpm=bpm, first=first, seconds=10, noise=noise, seed=number)
        heard = analyse(song)
        found.append(heard.first_beat is not None and abs(heard.first_beat - first) <= NEAR)
    assert np.mean(found) >= 0.9


def test_the_first_beat_is_the_grids_earliest_once_the_sound_begins() -> None:
    """As docs/sidecar.md says: a lead-in counts as sound, and silence before it does not."""
    song = groove_song("rock", bpm=112.5, first=1.3, seconds=14, seed=1)
    plain = analyse(song).first_beat
    assert plain == pytest.approx(1.3, abs=NEAR)
    time = np.arange(round(1.3 * RATE)) / RATE
    led_in = song.copy()
    led_in[: len(time)] += 0.05 * np.sin(2 * np.pi * 220 * time)[:, None]
    beat = 60 / 112.5
    assert analyse(led_in).first_beat == pytest.approx(1.3 - 2 * beat, abs=NEAR)
    late = np.concatenate([np.zeros((3 * RATE, 2), np.float32), led_in])
    assert analyse(late).first_beat == pytest.approx(4.3 - 2 * beat, abs=NEAR)


def test_a_hat_before_the_first_kick_is_no_first_beat() -> None:
    """A song that begins off the beat: its first beat is the next one of the grid."""
    song = groove_song("house", bpm=120, first=0.75, seconds=14, seed=2)
    rng = np.random.default_rng(0)
    song[RATE // 2 : RATE // 2 + 2000] += 0.05 * rng.normal(size=(2000, 1))
    assert analyse(song).first_beat == pytest.approx(0.75, abs=NEAR)


def test_the_grid_does_not_drift() -> None:
    """The tempo is right to a hundredth: after 100 s a beat of the grid is still the song's."""
    heard = analyse(groove_song("rock", bpm=124.57, first=0.5, seconds=102, seed=3))
    assert heard.bpm == pytest.approx(124.57, abs=0.0051)
    assert off_the_grid(heard, 0.5) <= NEAR
    assert off_the_grid(heard, 0.5 + 200 * 60 / 124.57) <= NEAR


@pytest.mark.parametrize("cents", [-48, -30, 0, 12.5, 48])
def test_the_tuning_is_heard(cents: float) -> None:
    """In cents from A4 = 440 Hz; 50 sharp and 50 flat are the same."""
    heard = analyse(groove_song("pop", bpm=110, cents=cents, seconds=8))
    assert heard.tuning is not None
    assert abs((heard.tuning - cents + 50) % 100 - 50) < 5
    assert -50 <= heard.tuning <= 50


def test_a_song_is_surer_of_its_tempo_than_loose_clicks_are() -> None:
    """Clicks that miss their beats by up to a quarter of one; at random, they have no tempo."""
    rng = np.random.default_rng(1)
    click = rng.normal(size=(400, 1)) * np.exp(-np.arange(400) / 80)[:, None]

    def clicks(spread: float) -> float:
        song = np.zeros((20 * RATE, 2), np.float32)
        for beat in range(38):
            at = round((0.5 * (beat + 0.5) + rng.uniform(-spread, spread)) * RATE)
            song[at : at + 400] += 0.5 * click
        return analyse(song).bpm_confidence or 0.0

    steady, loose, random = (clicks(spread) for spread in (0, 0.06, 0.5))
    assert steady > 2 * loose > 4 * random
    assert random < 0.1


def test_a_song_in_one_key_is_surer_than_one_in_two() -> None:
    """Songs in C major and in F# major at once: whichever is heard, it hardly leads."""
    songs = [make_song(seconds=10, key=key, seed=1)[0] for key in ("C major", "F# major")]
    clear, mixed = analyse(songs[0]), analyse(songs[0] + songs[1])
    assert (clear.key, clear.key_confidence is not None) == ("C major", True)
    assert (mixed.key_confidence or 0.0) < 0.5 * (clear.key_confidence or 0.0)


def test_where_the_sound_begins() -> None:
    """Behind silence, and behind hiss of 1 % of the loudest; what grows for minutes is no cost."""
    rng = np.random.default_rng(0)
    song = 0.001 * rng.normal(size=3 * HALVED)
    song[HALVED:] += 0.5 * np.sin(np.arange(2 * HALVED) * 0.1)
    beginning = Beginning()
    for part in np.array_split(song.astype(np.float32), 7):
        beginning.add(part)
    assert beginning.seconds() == pytest.approx(1.0, abs=0.01)
    assert Beginning().seconds() == 0.0
