"""The neural engine beside demucs 4.1.0 on the same random weights of the real size, in ratios.

    python -m tests.benchmarks.bench_neural --demucs /path/to/environment/bin/python

That environment holds demucs 4.1.0 and numpy; without it only ours runs, and the rows say so. Both
run on one core and on two, on 60 s and 240 s of a made song; CPU seconds, wall seconds, the peak of
memory, and how far the stems are apart. `--minutes 60` adds our peak on a song of an hour. Random
weights separate nothing, but every number of the real network is computed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from stemwatch.audio.codec import Encoder, decode
from stemwatch.models import tensors
from stemwatch.models.bringing import bring, digest
from stemwatch.models.folder import path_of
from stemwatch.server.engines.neural import htdemucs
from stemwatch.server.engines.neural.weights import Weights
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.made_song import make_song

ROOT = Path(__file__).parents[2]
FOUR = ["drums", "bass", "other", "vocals"]
SETTINGS = {"sources": FOUR, "channels": 48, "dconv_mode": 3, "bottom_channels": 512, "t_layers": 5}

# Run by demucs' Python: MODE FILE SOUND OUT THREADS
THEIRS = r"""
import json, re, sys, time
import torch
from fractions import Fraction
from demucs.htdemucs import HTDemucs
mode, path, sound, out, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
if mode == "make":
    settings = {**json.loads(sound), "segment": Fraction(39, 5)}
    torch.manual_seed(0)
    network = HTDemucs(**settings)
    for name, weights in network.named_parameters():
        if name.endswith(".scale"):  # begins so small that branches would not show
            weights.data.uniform_(0.05, 0.3)
    state = {name: one.half() for name, one in network.state_dict().items()}
    torch.save({"klass": HTDemucs, "args": (), "kwargs": settings, "state": state}, path)
    sys.exit()
import numpy as np
from demucs.apply import apply_model
from demucs.states import load_model
network = load_model(path).eval()
wave = torch.from_numpy(np.load(sound).T.copy())
wall, cpu = time.monotonic(), time.process_time()
mono = wave.mean(0)
mean, deviation = mono.mean(), mono.std() + 1e-8
with torch.no_grad():
    made = apply_model(network, ((wave - mean) / deviation)[None], shifts=0)[0] * deviation + mean
times = time.process_time() - cpu, time.monotonic() - wall
np.save(out, made.numpy())
# ru_maxrss would begin with that of its parent.
peak = re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())
print(json.dumps([*times, int(peak[1]) / 1024]))
"""

# Run by ours: MODEL SOUND OUT THREADS. A whole job: decoded, analysed, separated, encoded.
OURS = """
import json, sys, time
wall, cpu = time.monotonic(), time.process_time()
import numpy as np
from stemwatch.server.engines.neural import demucs_engine
from tests.benchmarks.looking import peak
model, sound, out, threads, kept = sys.argv[1:]
kwargs = {"models": {"4": model}, "device": "cpu", "threads": int(threads), "kept": kept}
demucs_engine.ready(**kwargs)
loaded = time.monotonic() - wall
if out == "ready":
    print(json.dumps([0, 0, 0, loaded]))
    sys.exit()
wall, cpu = time.monotonic(), time.process_time()
demucs_engine.separate(sound, out, stems=4, format="wav", progress=lambda _: None, **kwargs)
print(json.dumps([time.process_time() - cpu, time.monotonic() - wall, peak(), loaded]))
"""


def ours(*arguments: str) -> list[float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return _run([sys.executable, "-c", OURS, *arguments], environment)


def theirs(python: str, *arguments: str) -> list[float]:
    return _run([python, "-c", THEIRS, *arguments], dict(os.environ))


def _run(command: list[str], environment: dict[str, str]) -> list[float]:
    done = subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    figures: list[float] = json.loads(done.stdout or "[]")
    return figures


def song(path: Path, seconds: float) -> str:
    piece = make_song(seconds=12)[0]
    with Encoder(str(path), "wav") as encoder:
        for _ in range(round(seconds / 12)):
            encoder.write(piece)
    return str(path)


class Inventing(Weights):
    """Gives random weights of whatever shape the graph asks for, and keeps them."""

    def __init__(self) -> None:
        super().__init__({}, "htdemucs")
        self.given: dict[str, Array] = {}
        self._chance = np.random.default_rng(0)

    def __contains__(self, name: str) -> bool:
        return re.search(r"dconv\.layers\.[01]\.0\.weight$", name) is not None

    def take(self, name: str, *shape: int) -> Array:
        if name not in self.given:
            if -1 in shape or not shape:
                shape = tuple(n if n > 0 else WIDTHS[name.split(".")[0]][1] for n in shape) or (
                    2048 if "linear1" in name else WIDTHS[name.split(".")[0]][0],
                )
            spread = 0.3 / np.sqrt(max(1, np.prod(shape[1:])))
            values = self._chance.normal(size=shape) * spread
            self.given[name] = values.astype(np.float16)
        return self.given[name].astype(np.float32).reshape(shape or self.given[name].shape)

    def require_all_taken(self) -> None:
        return


# Of the two matrices around the transformer whose sizes the graph reads from the weights
WIDTHS = {
    f"channel_{way}sampler{branch}": sizes
    for way, sizes in (("up", (512, 384)), ("down", (384, 512)))
    for branch in ("", "_t")
}


def invented(folder: str) -> str:
    """A model of the real size without demucs: the path of its weights."""
    settings = {**SETTINGS, "segment": [39, 5]}
    weights = Inventing()
    htdemucs.build(htdemucs.plan_of(settings), weights)
    path = path_of(folder, "htdemucs")
    notes = {"model": "htdemucs", "settings": json.dumps(settings), "sha256": "0" * 64}
    tensors.write(path, weights.given, notes)
    return path


def distance(model: str, source: str, expected: str) -> float:
    """Our stems against theirs before the exact sum, in dB."""
    from stemwatch.server.engines.neural.demucs_engine import Demucs
    from stemwatch.server.engines.neural.segments import Level, separated

    network = Demucs(model, "cpu", 1, None)
    pieces = separated(decode(source), network, sources=4, samples=network.plan.samples,
                       level=Level.of(decode(source)))  # fmt: skip
    made = np.concatenate([stems for _, stems in pieces], 1)
    truth = np.load(expected).transpose(0, 2, 1)
    return float(10 * np.log10(((made - truth) ** 2).sum() / (truth**2).sum()))


def row(what: str, mine: list[float], other: list[float] | None) -> str:
    told = f"{what}: CPU {mine[0]:.1f} s, wall {mine[1]:.1f} s, peak {mine[2]:.0f} MB"
    if other is None:
        return f"{told}; demucs: not here, see --demucs"
    times = [other[n] / mine[n] for n in range(2)]
    return (
        f"{told}; demucs {other[0]:.1f} s, {other[1]:.1f} s, {other[2]:.0f} MB: "
        f"{times[0]:.2f} x its speed by CPU, {times[1]:.2f} x by wall, "
        f"{mine[2] / other[2]:.2f} x its memory"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demucs", metavar="PYTHON", help="of an environment with demucs 4.1.0")
    parser.add_argument("--seconds", type=int, nargs="*", default=[60, 240])
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--minutes", type=float, default=0, help="a long song, ours only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure(given, Path(folder))


def _measure(given: Any, folder: Path) -> None:
    file, kept = folder / "random.th", str(folder / "kept")
    if given.demucs is None:
        model = invented(str(folder))
    else:
        theirs(given.demucs, "make", str(file), json.dumps(SETTINGS), "", "2")
        model = bring(str(file), str(folder), sha256=digest(str(file))).path
    for threads in given.threads:
        ours(model, "", "ready", str(threads), kept)
        loaded = ours(model, "", "ready", str(threads), kept)[3]
        print(f"loaded from what was compiled, {threads} threads: {loaded:.1f} s", flush=True)
        for seconds in given.seconds:
            source = song(folder / "song.wav", seconds)
            mine = ours(model, source, str(folder), str(threads), kept)
            other = None
            if given.demucs is not None:
                np.save(folder / "song.npy", np.concatenate(list(decode(source))))
                other = theirs(given.demucs, "run", str(file), str(folder / "song.npy"),
                               str(folder / "theirs.npy"), str(threads))  # fmt: skip
            print(row(f"{seconds} s, {threads} threads", mine, other), flush=True)
    if given.demucs is not None:
        apart = distance(model, source, str(folder / "theirs.npy"))
        print(f"stems beside demucs' own: {apart:.0f} dB")
    if given.minutes:
        source = song(folder / "song.wav", given.minutes * 60)
        mine = ours(model, source, str(folder), "2", kept)
        print(row(f"{given.minutes:g} minutes", mine, None))


if __name__ == "__main__":
    main()
