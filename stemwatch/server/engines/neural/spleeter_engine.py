"""The engine `spleeter`: voice and accompaniment by Spleeter's networks, in a worker process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial

import numpy as np

from stemwatch.models import heads, tensors
from stemwatch.server.engines.neural import unet
from stemwatch.server.engines.neural.choosing import settle
from stemwatch.server.engines.neural.devices import open_on
from stemwatch.server.engines.neural.masking import masked
from stemwatch.server.engines.neural.weights import Weights
from stemwatch.server.engines.song import Progress, Separation, separate_song
from stemwatch.server.engines.spectral.headroom import exact_stems
from stemwatch.server.engines.spectral.stft import Array

STEMS = 2


class Spleeter:
    """Both networks, loaded: magnitudes in, the voice's share out."""

    def __init__(self, path: str, device: str, threads: int, kept: str | None) -> None:
        notes = heads.read_head(path).notes
        self._runtime = open_on(
            device,
            lambda: unet.build(Weights(tensors.read(path), notes["model"])),
            kept=kept,
            digest=notes["data_sha256"],
            threads=threads,
        )

    def __call__(self, magnitudes: Array) -> Array:
        """(2, 512, bins) to (2, 512, 1024): what lies above is not part of the result."""
        given = np.ascontiguousarray(magnitudes[None, :, :, : unet.BINS], np.float32)
        (mask,) = self._runtime.run({"magnitude": given})
        shares: Array = mask[0]
        return shares


_loaded = lru_cache(maxsize=1)(Spleeter)


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
    """Separate `source` into `out_dir`; see `separate_song`, and `demucs_engine` for the rest."""
    network = _loaded(models[str(STEMS)], device, threads, kept)
    return separate_song(
        source,
        out_dir,
        stems=stems,
        format=format,
        progress=progress,
        stream=partial(_stems, network=network),
    )


def _stems(mix: Iterable[Array], *, network: Spleeter) -> Iterator[Array]:
    for sound, voice in masked(mix, network, frames=unet.FRAMES):
        yield exact_stems(sound, np.stack([voice, voice]), residual=1)


def ready(
    *, models: Mapping[str, str], device: str, threads: int, kept: str | None
) -> dict[str, str | None]:
    """Load it, where it will run from now on; see `settle`."""

    def try_on(place: str, run: bool) -> None:
        network = Spleeter(models[str(STEMS)], place, threads, kept)
        if run and not np.isfinite(network(np.ones((2, unet.FRAMES, unet.BINS)))).all():
            raise RuntimeError("its results are no numbers")

    return settle(device, try_on)
