"""The engine on real files: sums, formats, odd inputs, memory, and how well it separates."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stemwatch.audio.codec import Encoder, decode
from stemwatch.errors import Reject
from stemwatch.job import STEMS
from stemwatch.server.engines.spectral.headroom import to_pcm
from stemwatch.server.engines.spectral.separation import Separation, separate
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.engines.spectral.stream import separate_stream
from stemwatch.server.made_song import make_song, write_demo_song, write_song
from tests.benchmarks.serving import ROOT

RATE = 44_100
# The full measurement: STEMWATCH_SPECTRAL_MINUTES=60 pytest -k memory (about 6 minutes)
MINUTES = float(os.environ.get("STEMWATCH_SPECTRAL_MINUTES", "0.8"))
MEMORY_LIMIT = 400  # MB


def read(path: str | Path) -> Array:
    """The whole file, float64 (samples, 2) at 44.1 kHz."""
    return np.concatenate(list(decode(str(path)))).astype(np.float64)


def level(sound: Array, reference: Array) -> float:
    """Power of `sound` against `reference`, in dB."""
    return float(10 * np.log10((sound**2).sum() / (reference**2).sum() + 1e-30))


def write(path: Path, sound: Array, *, rate: int = RATE, depth: int = 16) -> str:
    with Encoder(str(path), "wav", rate=rate, channels=sound.shape[1], depth=depth) as encoder:
        encoder.write(sound.astype(np.float32))
    return str(path)


def run(source: str, folder: Path, *, stems: int = 2, format: str = "wav") -> Separation:
    return separate(source, str(folder), stems=stems, format=format, progress=lambda _: None)


@pytest.mark.parametrize(("stems", "format"), [(2, "wav"), (4, "flac"), (6, "wav")])
def test_stems_sum_to_the_mix_at_the_same_format(tmp_path: Path, stems: int, format: str) -> None:
    """Lossless stems, in the API's order, sum to the 16-bit mix in every single sample."""
    source = str(tmp_path / "song.wav")
    write_song(source, seconds=5)
    made = run(source, tmp_path, stems=stems, format=format)
    assert tuple(made.stems) == STEMS[stems]
    assert [Path(p).name for p in made.stems.values()] == [f"{s}.{format}" for s in STEMS[stems]]
    total = np.sum([read(path) for path in made.stems.values()], axis=0)
    assert np.array_equal(total, read(source))


def test_mp3_stems_sum_to_the_mix_within_the_formats_own_loss(tmp_path: Path) -> None:
    """MP3 stems are aligned and as long as the mix; their sum is as near to it as an MP3 of it."""
    source, coded = str(tmp_path / "song.wav"), str(tmp_path / "mix.mp3")
    write_song(source, seconds=5)
    write_song(coded, seconds=5, format="mp3")
    mix = read(source)
    made = run(source, tmp_path, stems=2, format="mp3")
    total = np.sum([read(path) for path in made.stems.values()], axis=0)
    assert len(total) == len(mix)
    own_loss = level(read(coded) - mix, mix)
    assert level(total - mix, mix) < own_loss + 1


def test_a_hot_mix_still_sums_at_unity_gain(tmp_path: Path) -> None:
    """A float mix 9 dB over full scale: the stems sum to it as 16 bits can hold it."""
    hot = make_song(seconds=4)[0] * 2.8
    source = write(tmp_path / "hot.wav", hot, depth=0)
    made = run(source, tmp_path, stems=4)
    total = np.sum([read(path) for path in made.stems.values()], axis=0)
    assert np.array_equal(total * 32_768, to_pcm(read(source)))
    assert np.abs(read(source)).max() > 2


@pytest.mark.parametrize(
    ("rate", "channels"), [(8000, 1), (192_000, 2), (48_000, 6)], ids=["8k mono", "192k", "5.1"]
)
def test_other_rates_and_layouts(tmp_path: Path, rate: int, channels: int) -> None:
    """Any rate and layout comes out as 44.1 kHz stereo stems that sum to the decoded mix."""
    noise = np.random.default_rng(0).normal(size=(2 * rate, channels)) * 0.1
    source = write(tmp_path / "odd.wav", noise, rate=rate)
    made = run(source, tmp_path)
    total = np.sum([read(path) for path in made.stems.values()], axis=0)
    assert made.duration == pytest.approx(2, abs=0.01)
    assert np.array_equal(total * 32_768, to_pcm(read(source)))


def test_one_sample_and_silence_have_stems_but_no_tempo(tmp_path: Path) -> None:
    """The smallest and the emptiest songs still give their stems."""
    for name, sound in (("one", np.full((1, 2), 0.5)), ("silent", np.zeros((RATE * 5, 2)))):
        made = run(write(tmp_path / f"{name}.wav", sound), tmp_path)
        assert (made.bpm, made.key, made.bpm_confidence, made.key_confidence) == (None,) * 4
        assert (made.tuning_cents, made.first_beat_seconds) == (None, None)
        assert made.duration == len(sound) / RATE
        assert all(len(read(path)) == len(sound) for path in made.stems.values())


@pytest.mark.parametrize("content", [b"", b"la la la " * 999, b"RIFF\x00\x00\x00\x00WAVEfmt "])
def test_what_is_no_audio_is_rejected_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    """A file that can't be decoded raises Reject with a hint, and no stem is left behind."""
    source, out = tmp_path / "song.mp3", tmp_path / "out"
    source.write_bytes(content)
    out.mkdir()
    with pytest.raises(Reject) as caught:
        run(str(source), out)
    assert caught.value.hint
    assert list(out.iterdir()) == []


def test_audio_without_samples_is_rejected(tmp_path: Path) -> None:
    """A WAV with a header and nothing in it raises Reject and leaves no stem."""
    source, out = write(tmp_path / "empty.wav", np.zeros((0, 2))), tmp_path / "out"
    out.mkdir()
    with pytest.raises(Reject):
        run(source, out)
    assert list(out.iterdir()) == []


def test_a_failed_write_leaves_no_stem(tmp_path: Path) -> None:
    """An error midway (here: from the caller's progress) removes the stems begun before it."""
    source, out = str(tmp_path / "song.wav"), tmp_path / "out"
    write_song(source, seconds=1)
    out.mkdir()

    def interrupted(share: float) -> None:
        if share > 0:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        separate(source, str(out), stems=2, format="wav", progress=interrupted)
    assert list(out.iterdir()) == []


def test_the_demo_song_gets_its_tempo_key_and_progress(tmp_path: Path) -> None:
    """The engine finds what `write_demo_song` says, through a file; progress rises from 0 to 1."""
    source = str(tmp_path / os.fsdecode(b"d\xe9mo \xf0\x9f\x8e\xb5\n.wav"))
    facts = write_demo_song(source)
    shares: list[float] = []
    made = separate(source, str(tmp_path), stems=2, format="wav", progress=shares.append)
    assert made.bpm == pytest.approx(facts.bpm, rel=0.01)
    assert made.key == facts.key
    assert made.first_beat_seconds == pytest.approx(0, abs=0.02)
    assert made.tuning_cents == pytest.approx(0, abs=5)
    assert made.duration == facts.duration
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_separation_is_far_better_than_the_mix() -> None:
    """On the made song every stem is well above "the mix as estimate", in dB of SDR."""
    mix, truth = make_song(seconds=12, seed=7)
    (pieces,) = separate_stream([mix], 4)
    made = dict(zip(STEMS[4], pieces / 32_768, strict=True))
    truth["other"] = truth["guitar"] + truth["piano"]
    gains = {
        name: level(mix - truth[name], truth[name]) - level(sound - truth[name], truth[name])
        for name, sound in made.items()
    }
    assert gains["vocals"] > 7
    assert gains["drums"] > 7
    assert gains["bass"] > 6
    assert gains["other"] > 5


MEASURE = """
import sys
from stemwatch.audio.codec import Encoder
from stemwatch.server.engines.spectral.separation import separate
from stemwatch.server.made_song import make_song
from tests.benchmarks.looking import peak
folder, minutes = sys.argv[1], float(sys.argv[2])
song = make_song(seconds=12)[0]
with Encoder(folder + "/long.wav", "wav") as encoder:
    for _ in range(round(minutes * 5)):
        encoder.write(song)
made = separate(folder + "/long.wav", folder, stems=6, format="wav", progress=lambda _: None)
print(made.duration, round(peak()))
"""


@pytest.mark.timeout(3600)
def test_memory_is_bounded(tmp_path: Path) -> None:
    """A long mix into six stems stays below the limit; see MINUTES for the full measurement."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), str(MINUTES)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    duration, peak = done.stdout.split()
    print(f"{float(duration) / 60:.1f} minutes: peak {peak} MB")
    assert float(duration) == pytest.approx(MINUTES * 60, abs=6)
    assert int(peak) < MEMORY_LIMIT
