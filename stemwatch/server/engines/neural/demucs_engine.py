"""The engines `htdemucs` and `htdemucs_6s`: songs through HTDemucs, in a worker process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

import numpy as np

from stemwatch.audio.codec import decode
from stemwatch.job import STEMS
from stemwatch.models import heads, tensors
from stemwatch.server.engines.neural import htdemucs, spectrum
from stemwatch.server.engines.neural.choosing import settle
from stemwatch.server.engines.neural.devices import open_on
from stemwatch.server.engines.neural.segments import Level, separated
from stemwatch.server.engines.neural.weights import Weights
from stemwatch.server.engines.song import Progress, Separation, separate_song
from stemwatch.server.engines.spectral.headroom import exact_stems
from stemwatch.server.engines.spectral.masks import residual_stem
from stemwatch.server.engines.spectral.stft import Array

TINY = 1e-5  # beside a segment's deviation: silence is not divided by


class Demucs:
    """One network, loaded: segments in, sources out."""

    def __init__(self, path: str, device: str, threads: int, kept: str | None) -> None:
        notes = heads.read_head(path).notes
        self.plan = htdemucs.plan_of(json.loads(notes["settings"]))
        self._threads = threads
        self._runtime = open_on(
            device,
            lambda: htdemucs.build(self.plan, Weights(tensors.read(path), notes["model"])),
            kept=kept,
            digest=notes["data_sha256"],
            threads=threads,
        )

    def __call__(self, sound: Array) -> Array:
        """(2, samples of a segment) to (sources, 2, samples), in the order of `plan.sources`."""
        sources, samples = len(self.plan.sources), self.plan.samples
        image = spectrum.forward(sound, self._threads)
        mean, deviation = image.mean(), image.std(ddof=1)
        mean_wave, deviation_wave = sound.mean(), sound.std(ddof=1)
        image -= mean
        image /= TINY + deviation
        wave = ((sound - mean_wave) / (TINY + deviation_wave))[None, :, None]
        spectra, waves = self._runtime.run({"spectrum": image, "wave": wave})
        del image  # eleven megabytes, and the results are there
        out: Array = waves.reshape(sources, 2, samples) * deviation_wave
        out += mean_wave
        spectra = spectra.reshape(sources, 2, 2, spectrum.BINS, -1)
        for source in range(sources):
            for channel in range(2):
                bins = spectra[source, channel] * deviation + mean
                out[source, channel] += spectrum.inverse(bins, samples, self._threads)
        return out


class _Warm:
    """The network that was used last: two at once would be two gigabytes."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._network: Demucs | None = None

    def get(self, path: str, device: str, threads: int, kept: str | None) -> Demucs:
        key = (path, device, threads, kept)
        if self._network is None or self._key != key:
            self._network = None
            self._network, self._key = Demucs(*key), key
        return self._network


_warm = _Warm()


def separate(
    source: str,
    out_dir: str,
    *,
    stems: int,
    format: str,
    progress: Progress,
    models: Mapping[str, str],
    device: str,
    threads: int,
    kept: str | None,
) -> Separation:
    """Separate `source` into `out_dir`; see `separate_song`.

    `models` maps a number of stems, as text, to a file of weights; `device` is cpu or a GPU's
    name; `kept` a folder for what is compiled from the weights.
    """
    path = models[str(stems)]
    network = _warm.get(path, device, threads, kept)
    level = Level.of(decode(source, rate=htdemucs.RATE))
    stream = partial(_stems, network=network, level=level, stems=stems)
    return separate_song(
        source, out_dir, stems=stems, format=format, progress=progress, stream=stream
    )


def _stems(mix: Iterable[Array], *, network: Demucs, level: Level, stems: int) -> Iterator[Array]:
    plan, residual = network.plan, residual_stem(stems)
    # What the residual stem is made of doesn't matter: it becomes what the others leave
    order = [plan.sources.index(s) if s in plan.sources else 0 for s in STEMS[stems]]
    pieces = separated(mix, network, sources=len(plan.sources), samples=plan.samples, level=level)
    for sound, made in pieces:
        yield exact_stems(sound, made[order], residual)


def ready(
    *, models: Mapping[str, str], device: str, threads: int, kept: str | None
) -> dict[str, str | None]:
    """Load it, where it will run from now on; see `settle`."""

    path = models[min(models, key=int)]  # further ones are loaded when they are asked for

    def try_on(place: str, run: bool) -> None:
        network = Demucs(path, place, threads, kept)
        if run:
            sound = np.random.default_rng(0).normal(size=(2, network.plan.samples))
            if not np.isfinite(network(sound.astype(np.float32))).all():
                raise RuntimeError("its results are no numbers")

    return settle(device, try_on)
