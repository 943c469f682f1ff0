"""What a stem measures, beside the standard's own figures and FFmpeg's meter."""

from __future__ import annotations

import asyncio
import math
import os
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from stemwatch.audio.codec import Encoder
from stemwatch.audio.frames import Source
from stemwatch.audio.helper.client import AudioHelper
from stemwatch.audio.meters.measures import measure
from stemwatch.audio.meters.waveform import peaks
from tests.support.audio_samples import RATE, tone, write


def sine(hertz: float, level: float, *, seconds: float = 6.0, phase: float = 0.0) -> np.ndarray:
    """Stereo; `level` in dBFS."""
    time = np.arange(round(seconds * RATE)) / RATE
    wave = 10 ** (level / 20) * np.sin(2 * np.pi * hertz * time + phase)
    return np.stack([wave, wave], axis=1).astype(np.float32)


def meter(path: Path) -> tuple[float, float]:
    """Integrated loudness (LUFS) and true peak (dBTP) by FFmpeg's filter, oversampling included."""
    told: dict[str, str] = {}
    with Source(os.fspath(path)) as source:
        graph = None
        for frame in [*source.frames(), None]:
            if graph is None:
                graph = Graph()
                shape = f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}"
                layout = f"channel_layout={frame.layout.name}:time_base=1/{frame.sample_rate}"
                chain = (
                    graph.add("abuffer", f"{shape}:{layout}"),
                    graph.add("ebur128", "metadata=1:peak=true"),
                )
                graph.link_nodes(*chain, graph.add("abuffersink")).configure()
            graph.push(frame)
            while True:
                try:
                    told |= graph.pull().metadata
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
    return float(told["lavfi.r128.I"]), 20 * math.log10(float(told["lavfi.r128.true_peak"]))


def music(seed: int) -> np.ndarray:
    """Ten seconds that swell: a chord, filtered noise, a beat that is clipped hard."""
    noise = np.random.default_rng(seed).standard_normal((10 * RATE, 2)).cumsum(axis=0)
    noise -= np.stack([np.convolve(c, np.ones(500) / 500, "same") for c in noise.T], axis=1)
    time = np.arange(len(noise))[:, None] / RATE
    beat = np.sign(np.sin(2 * np.pi * 60 * time)) * (time * 2 % 1 < 0.1)
    swell = 0.1 + 0.9 * np.sin(time / 3) ** 2
    mixed = (noise / np.abs(noise).max() + tone(10.0, seed=seed)) * swell + beat
    clipped: np.ndarray = np.clip(mixed * 0.8, -0.9, 0.9).astype(np.float32)
    return clipped


@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_the_standards_own_sine(tmp_path: Path, level: float) -> None:
    """EBU Tech 3341, cases 1 and 2: 1 kHz in both channels has its level's number in LUFS."""
    path = write(tmp_path / "sine.wav", sine(1000, level, seconds=20))
    found = measure(str(path), 0)
    assert found.loudness_lufs == pytest.approx(level, abs=0.1)
    assert found.true_peak_dbtp == pytest.approx(level, abs=0.05)
    assert (found.active_share, found.waveform) == (1.0, b"")


@pytest.mark.parametrize("phase", [45.0, 60.0, 67.5])
def test_a_peak_between_the_samples_is_found(tmp_path: Path, phase: float) -> None:
    """EBU Tech 3341, cases 16 to 19: a quarter of the rate, whose samples miss the peak by 3 dB."""
    turned = sine(RATE / 4, -6.0, phase=math.radians(phase))
    found = measure(str(write(tmp_path / "sine.wav", turned)), 0)
    assert 20 * math.log10(np.abs(turned).max()) < -6.3
    assert found.true_peak_dbtp is not None
    assert -6.4 <= found.true_peak_dbtp <= -5.8


@pytest.mark.parametrize("name", ["song.wav", "song.flac", "song.mp3"])
def test_it_is_what_ffmpegs_meter_says(tmp_path: Path, name: str) -> None:
    """Within 0.1 LU and 0.2 dB, on sound that swells and clips, whatever its format."""
    path = write(tmp_path / name, music(len(name)))
    found, (loudness, peak) = measure(str(path), 0), meter(path)
    assert found.loudness_lufs == pytest.approx(loudness, abs=0.1)
    assert found.true_peak_dbtp == pytest.approx(peak, abs=0.2)


@pytest.mark.parametrize(("channels", "rate"), [(1, 48_000), (2, 22_050), (2, 96_000)])
def test_any_rate_and_one_channel(tmp_path: Path, channels: int, rate: int) -> None:
    path = tmp_path / "stem.wav"
    with Encoder(str(path), "wav", rate=rate, channels=channels, depth=24) as encoder:
        encoder.write(tone(5.0, channels=channels, rate=rate))
    found, (loudness, peak) = measure(str(path), 10), meter(path)
    assert found.loudness_lufs == pytest.approx(loudness, abs=0.1)
    assert found.true_peak_dbtp == pytest.approx(peak, abs=0.2)
    assert len(found.waveform) == 20


def test_silence_has_no_loudness_and_no_peak(tmp_path: Path) -> None:
    """As "this song has no vocals" comes from a separation that is exact."""
    found = measure(str(write(tmp_path / "s.flac", np.zeros((RATE * 3, 2), np.float32))), 5)
    assert (found.loudness_lufs, found.true_peak_dbtp, found.active_share) == (None, None, 0.0)
    assert found.waveform == bytes(10)


def test_the_share_that_sounds(tmp_path: Path) -> None:
    """A quarter of it, on one side only; what is left of other stems, at -70 dBFS, is no sound."""
    half = np.concatenate([sine(440, -20, seconds=2), sine(440, -67, seconds=6.05)])
    half[:, 1] = 0
    found = measure(str(write(tmp_path / "half.wav", half)), 0)
    assert found.active_share == pytest.approx(2 / 8.05, abs=0.001)


def test_the_last_part_of_a_second_counts(tmp_path: Path) -> None:
    """The highest sample is the last one, in a block that is not full; NaN is no sound."""
    samples = np.zeros((RATE + 1234, 2), np.float32)
    samples[-1] = 0.5
    samples[100] = np.nan, np.inf
    path = tmp_path / "end.wav"
    with Encoder(str(path), "wav", depth=0) as encoder:
        encoder.write(samples)
    found = measure(str(path), 4)
    assert found.true_peak_dbtp == pytest.approx(-6.02, abs=0.02)
    assert found.loudness_lufs is None
    assert found.active_share == pytest.approx(1234 / len(samples), abs=0.0001)
    assert list(np.frombuffer(found.waveform, np.int8)) == [0, 0, 0, 0, 0, 0, 0, 64]


def test_the_waveform_is_the_one_that_the_page_would_draw(tmp_path: Path) -> None:
    """It decodes no stem for which it has one."""
    swelling = tone(7.0) * np.linspace(0, 2, 7 * RATE, dtype=np.float32)[:, None]
    path = write(tmp_path / "song.mp3", swelling)
    ours, pages = (np.frombuffer(one, np.int8) for one in (measured(path), peaks(str(path), 500)))
    apart = np.abs(ours.astype(int) - pages)
    assert apart.mean() < 1  # the columns begin 5 ms apart at most


def measured(path: Path) -> bytes:
    """The waveform as the service gets it, by a helper."""

    async def asked() -> bytes:
        audio = AudioHelper()
        try:
            return (await audio.measure(os.fspath(path), 500)).waveform
        finally:
            await audio.close()

    return asyncio.run(asked())
