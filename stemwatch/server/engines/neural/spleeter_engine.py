"""The engine `spleeter`: the voice by Spleeter's networks, in a worker process.

For 4 and 6 stems the built-in engine divides what the voice leaves. On songs with known stems its
drums, bass and other came out -0.1 to 1.6 dB better so than from the whole mix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial

import numpy as np

from stemwatch.job import STEMS
from stemwatch.models import heads, tensors
from stemwatch.server.engines.neural import unet
from stemwatch.server.engines.neural.choosing import settle
from stemwatch.server.engines.neural.devices import open_on
from stemwatch.server.engines.neural.masking import masked
from stemwatch.server.engines.neural.weights import Weights
from stemwatch.server.engines.song import Progress, Separation, separate_song
from stemwatch.server.engines.spectral.headroom import exact_stems
from stemwatch.server.engines.spectral.masks import residual_stem
from stemwatch.server.engines.spectral.stft import Array
from stemwatch.server.engines.spectral.stream import separated_blocks


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
    network = _loaded(models["2"], device, threads, kept)
    return separate_song(
        source,
        out_dir,
        stems=stems,
        format=format,
        progress=progress,
        stream=partial(stem_stream, network=network, stems=stems, threads=threads),
    )


def stem_stream(
    mix: Iterable[Array], *, network: Spleeter, stems: int, threads: int
) -> Iterator[Array]:
    """Int16 pieces (stems, n, 2) in the order of STEMS, that sum to the mix."""
    pieces = masked(mix, network, frames=unet.FRAMES)
    residual = residual_stem(stems)
    if len(STEMS[stems]) == 2:
        for sound, voice in pieces:
            yield exact_stems(sound, np.stack([voice, voice]), residual)
        return
    heard = _Accompaniment(pieces)
    for accompaniment, made in separated_blocks(heard, stems, threads):
        sound, voice = heard.take(len(accompaniment))
        # What the built-in engine still takes for a voice is left to the residual stem
        made[STEMS[stems].index("vocals")] = voice
        yield exact_stems(sound, made, residual)


class _Accompaniment:
    """Passes on what the voice leaves, and keeps mix and voice until that comes back as stems."""

    def __init__(self, pieces: Iterable[tuple[Array, Array]]) -> None:
        self._pieces = pieces
        self._held: list[Array] = []

    def __iter__(self) -> Iterator[Array]:
        for sound, voice in self._pieces:
            self._held.append(np.stack([sound, voice]))
            yield sound - voice

    def take(self, samples: int) -> Array:
        """The next `samples` of mix and voice, (2, n, 2)."""
        held = np.concatenate(self._held, axis=1)
        self._held = [held[:, samples:]]
        return held[:, :samples]


def ready(
    *, models: Mapping[str, str], device: str, threads: int, kept: str | None
) -> dict[str, str | None]:
    """Load it, where it will run from now on; see `settle`."""

    def try_on(place: str, run: bool) -> None:
        network = Spleeter(models["2"], place, threads, kept)
        if run and not np.isfinite(network(np.ones((2, unet.FRAMES, unet.BINS)))).all():
            raise RuntimeError("its results are no numbers")

    return settle(device, try_on)
