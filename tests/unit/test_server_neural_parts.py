"""What stands around the networks: transforms, segments, masks, weights, devices, seats."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from stemwatch.errors import ConfigFault
from stemwatch.models.folder import Installed
from stemwatch.server import machine
from stemwatch.server.engines import ENGINES, Engine, Placed
from stemwatch.server.engines.neural import on_gpu, spectrum
from stemwatch.server.engines.neural.choosing import check, settle
from stemwatch.server.engines.neural.htdemucs import plan_of
from stemwatch.server.engines.neural.masking import masked
from stemwatch.server.engines.neural.onnx_graph import Graph
from stemwatch.server.engines.neural.segments import Level, separated
from stemwatch.server.engines.neural.weights import Weights
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.offer import Offer
from stemwatch.server.options import Options
from stemwatch.server.starting import prepare, seats_for

SEGMENT = 8000


def noise(samples: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(samples, 2)).astype(np.float32)


def cut(sound: Array, size: int = 3000) -> Iterator[Array]:
    for first in range(0, len(sound), size):
        yield sound[first : first + size]


def test_a_spectrum_and_its_inverse_give_the_sound_back() -> None:
    """At a segment's own length, and at one that no frame ends with."""
    for samples in (343_980, 66_150):
        sound = noise(samples).T
        image = spectrum.forward(sound)[0]
        assert image.shape == (4, 2048, -(-samples // 1024))
        back = np.stack([spectrum.inverse(image[n : n + 2], samples) for n in (0, 2)])
        # The highest bin is left out, as the network has it (a two-thousandth of noise), and at
        # both ends two frames
        middle = slice(4096, -4096)
        assert ((back - sound)[:, middle] ** 2).mean() < 0.001


@pytest.mark.parametrize(
    "samples", [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 6000, 6001, 5 * SEGMENT + 17]
)
def test_segments_give_every_sample_once(samples: int) -> None:
    """A network that gives a quarter of what it hears: a quarter of the song, to 1e-6."""
    sound = noise(samples)
    level = Level.of(cut(sound))
    pieces = list(
        separated(
            cut(sound), lambda x: np.stack([x / 4] * 4), sources=4, samples=SEGMENT, level=level
        )
    )
    mix = np.concatenate([piece for piece, _ in pieces] or [sound])
    made = np.concatenate([stems for _, stems in pieces] or [np.zeros((4, 0, 2))], 1)
    assert np.array_equal(mix, sound)
    offset = level.mean * 0.75  # a quarter of what is heard: the mean is not part of that
    assert np.allclose(made, sound / 4 + offset, atol=1e-5)


def test_segments_are_those_of_demucs() -> None:
    """Against the slow way: every segment cut, padded around its middle, weighted and summed."""
    sound = noise(3 * SEGMENT + 1234)
    memory = np.cumsum(np.ones(SEGMENT)) / SEGMENT

    def network(heard: Array) -> Array:
        return np.stack([heard * memory, heard[:, ::-1]]).astype(np.float32)

    stride, length = 3 * SEGMENT // 4, len(sound)
    weight = np.minimum(np.arange(1, SEGMENT + 1), np.arange(SEGMENT, 0, -1)) / (SEGMENT // 2)
    total, weights = np.zeros((2, 2, length)), np.zeros(length)
    for start in range(0, length, stride):
        part = min(SEGMENT, length - start)
        early = (SEGMENT - part) // 2
        padded = np.zeros((2, SEGMENT), np.float32)
        inside = sound[max(0, start - early) : start - early + SEGMENT].T
        padded[:, : inside.shape[1]] = inside
        total[:, :, start : start + part] += (network(padded)[..., early : early + part]
                                              * weight[:part])  # fmt: skip
        weights[start : start + part] += weight[:part]
    expected = (total / weights).transpose(0, 2, 1)
    pieces = separated(cut(sound), network, sources=2, samples=SEGMENT, level=Level())
    made = np.concatenate([stems for _, stems in pieces], 1)
    assert np.allclose(made, expected, atol=1e-5)


def test_a_songs_level_is_that_of_its_mono_sum() -> None:
    """Of all blocks together; an empty song has one, too."""
    sound = noise(9999) + 0.5
    level = Level.of(cut(sound))
    mono = sound.mean(1, dtype=np.float64)
    assert level.mean == pytest.approx(mono.mean())
    assert level.deviation == pytest.approx(mono.std(ddof=1))
    assert Level.of([]).deviation > 0


@pytest.mark.parametrize("samples", [0, 1, 1023, 1024, 8192, 20_000, 20_480])
def test_a_mask_of_a_half_gives_half_the_song(samples: int) -> None:
    """Every sample once, whatever the length; what lies above the mask's bins is no part of it."""
    sound = noise(samples, seed=1)
    pieces = list(masked(cut(sound), lambda m: np.full(m.shape, 0.5, np.float32), frames=8))
    mix = np.concatenate([piece for piece, _ in pieces] or [sound])
    made = np.concatenate([part for _, part in pieces] or [sound / 2])
    assert np.array_equal(mix, sound)
    assert np.allclose(made, sound / 2, atol=1e-5)
    nothing = masked(cut(sound), lambda m: np.ones((2, 8, 0), np.float32), frames=8)
    assert all(not part.any() for _, part in nothing)


def test_weights_that_do_not_fit_are_a_fault() -> None:
    """One too few, one too many, one of another size: with the name of it."""
    weights = Weights({"a": np.ones((2, 2), np.float16), "b": np.ones(1)}, "htdemucs")
    assert weights.take("a", 4).dtype == np.float32
    with pytest.raises(ConfigFault, match="b has no place"):
        weights.require_all_taken()
    for name, shape in (("c", 1), ("a", 3)):
        with pytest.raises(ConfigFault, match=f"{name} is missing or of another size") as caught:
            weights.take(name, shape)
    assert "stemwatch models fetch htdemucs" in caught.value.hint


def test_a_network_of_another_kind_is_refused() -> None:
    """By the setting that makes it one."""
    with pytest.raises(ConfigFault, match="t_emb='cape'"):
        plan_of({"sources": ["a"], "t_emb": "cape"})
    for segment in ([39, 5], 7.8):
        assert plan_of({"sources": ["a"], "segment": segment}).samples == 343_980


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "", "cuda:100"])
def test_unknown_devices_are_refused(name: str) -> None:
    """With those that there are."""
    with pytest.raises(ConfigFault, match="no device named"):
        check(name)
    for known in ("auto", "cpu", "cuda", "cuda:1"):
        check(known)


def test_auto_believes_in_a_gpu_that_has_done_a_segment(tmp_path: Path) -> None:
    """Where there is none it isn't asked; one that fails is told of once, and the CPU taken."""
    tried: list[tuple[str, bool]] = []

    def works(device: str, run: bool) -> None:
        tried.append((device, run))

    def broken(device: str, run: bool) -> None:
        works(device, run)
        if device != "cpu":
            raise RuntimeError("no kernel image")

    driver = (str(tmp_path),)
    assert settle("auto", works, drivers=()) == {"device": "cpu", "note": None}
    assert settle("auto", works, driver) == {"device": "cuda:0", "note": None}
    assert tried == [("cpu", False), ("cuda:0", True)]
    chosen = settle("auto", broken, driver)
    assert chosen["device"] == "cpu"
    assert "no kernel image" in (chosen["note"] or "")
    with pytest.raises(ConfigFault, match=r"does not run on cuda:1: RuntimeError: no kernel"):
        settle("cuda:1", broken)


@pytest.mark.parametrize(
    ("available", "providers", "why"),
    [
        (["CPUExecutionProvider"], [], "one for CPUs"),
        (["CUDAExecutionProvider"], ["CPUExecutionProvider"], "CUDA or cuDNN can't be loaded"),
    ],
)
def test_a_gpu_that_is_silently_a_cpu_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, available: list[str], providers: list[str], why: str
) -> None:
    """As onnxruntime does it: another wheel, or a library that is missing (it only warns)."""

    class Session:
        def __init__(self, *_: object, **__: object) -> None: ...

        def get_providers(self) -> list[str]:
            return providers

    fake = types.SimpleNamespace(
        __spec__=ModuleSpec("onnxruntime", None),  # installed
        get_available_providers=lambda: available,
        preload_dlls=lambda: None,
        SessionOptions=types.SimpleNamespace,
        InferenceSession=Session,
    )
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", fake)
    with pytest.raises(ConfigFault, match=why) as caught:
        on_gpu.open_gpu(Graph(), 0)
    assert "--device cpu" in caught.value.hint


def test_seats_follow_the_memory() -> None:
    """One by default; what is asked for and doesn't fit is told of."""
    engine = ENGINES["htdemucs"]
    told: list[str] = []
    assert seats_for(engine, None, 8_000_000_000, told.append) == 1
    assert seats_for(engine, 4, 8_000_000_000, told.append) == 4
    assert seats_for(engine, 4, None, told.append) == 4
    assert told == []
    assert seats_for(engine, 4, 3_000_000_000, told.append) == 2
    assert seats_for(engine, None, 500_000_000, told.append) == 1
    assert len(told) == 2
    assert "1.1 GB" in told[0]


def test_the_built_in_engine_s_seats_follow_the_memory_too() -> None:
    """One for each core but one: in a container of 1 GB, seven were killed one after another."""
    engine, told = ENGINES["spectral"], list[str]()
    assert seats_for(engine, None, 16_000_000_000, told.append, usual=7) == 7
    assert seats_for(engine, None, None, told.append, usual=7) == 7
    assert told == []
    assert seats_for(engine, None, 1_800_000_000, told.append, usual=7) == 3
    assert seats_for(engine, 7, 1_800_000_000, told.append, usual=1) == 3
    assert seats_for(engine, None, 100_000_000, told.append, usual=7) == 1
    assert "takes 0.5 GB and 1.8 GB are free: 3 at once" in told[0]


def test_a_server_opens_no_more_seats_than_its_container_has_memory_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever --jobs says; an engine of somebody's own takes nobody knows what."""
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    (tmp_path / "memory.max").write_text("1000000000")
    (tmp_path / "memory.current").write_text("100000000")

    def seats(engine: str) -> int:
        options = Options(data_dir=str(tmp_path), engine=engine, jobs=7)
        return asyncio.run(prepare(options, lambda _: None)).seats

    assert [seats("spectral"), seats("my.engine:run")] == [1, 7]


def test_a_containers_share_of_the_machine_is_what_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cores and memory of the narrowest group; without groups those of the machine."""
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    cores, memory = machine.cores(), machine.memory()
    assert cores >= 1
    assert memory is None or memory > 1_000_000
    (tmp_path / "cpu.max").write_text("150000 100000")
    (tmp_path / "memory.max").write_text("5000000")
    (tmp_path / "memory.current").write_text("4000000")
    assert (machine.cores(), machine.memory()) == (1, 1_000_000)
    (tmp_path / "memory.stat").write_text("anon 1\nactive_file 5\ninactive_file 500000\n")
    assert machine.memory() == 1_500_000  # files that are kept only until somebody needs it
    (tmp_path / "cpu.max").write_text("max 100000")
    (tmp_path / "memory.max").write_text("max")
    assert machine.cores() == cores


def test_a_container_s_share_counts_on_an_older_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control groups of version 1, as on many a NAS; without a limit they say -1 and 2 ** 63."""
    monkeypatch.setattr(machine, "_GROUPS", tmp_path)
    cores = machine.cores()
    for name, text in (
        ("cpu/cpu.cfs_quota_us", "150000"),
        ("cpu/cpu.cfs_period_us", "100000"),
        ("memory/memory.limit_in_bytes", "5000000"),
        ("memory/memory.usage_in_bytes", "4000000"),
        ("memory/memory.stat", "inactive_file 1\ntotal_inactive_file 500000\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert (machine.cores(), machine.memory()) == (1, 1_500_000)
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1")
    assert machine.cores() == cores


def test_an_offer_says_what_it_can_not_make() -> None:
    """A number that no model is for, and one whose model could be brought."""
    model = Installed("htdemucs", "/m", "ab" * 32, True)
    offer = Offer(ENGINES["htdemucs"], Placed("m:f"), 1, {2: model, 4: model}, "cpu", 2)
    assert offer.refusal(4) is None
    assert "stemwatch models fetch htdemucs_6s" in (offer.refusal(6) or "")
    two = replace(offer, engine=Engine("own", "m:f", {2: "own"}), models={2: model})
    assert "makes 2 stems, not 4" in (two.refusal(4) or "")
    assert offer.made_by(4) == {
        "engine": "htdemucs", "model": "htdemucs", "model_sha256": "ab" * 32, "device": "cpu"
    }  # fmt: skip
    assert offer.line() == "engine htdemucs jobs 1 device cpu threads 2"
    own = Offer(Engine("m:f", "m:f"), Placed("m:f"), 3)
    assert [own.refusal(n) for n in (2, 4, 6)] == [None] * 3
    assert own.line() == "engine m:f jobs 3"
