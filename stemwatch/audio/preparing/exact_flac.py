"""Encodes a song as FLAC and compares both, sample by sample. Helper process only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import numpy as np

from stemwatch.audio.arrays import native
from stemwatch.audio.codec import BLOCK, Encoder, to_pcm
from stemwatch.audio.frames import Source
from stemwatch.audio.results import Prepared


def prepare(source: str, target: str) -> Prepared:
    """Write `source` as FLAC to `target`, with its own rate and channels, in 16 or 24 bits.

    `exact` says whether the FLAC decodes to the source's very samples. Of a lossy song, whose
    decoder gives floats, it is the decoded sound in 16 bits: `exact` is False. Raises Reject as
    `Source` does, OSError (disk full).
    """
    before, after = hashlib.sha256(), hashlib.sha256()
    with Source(source) as song:
        kind = song.stream.codec_context.format.packed.name
        rate, channels, depth = song.sample_rate, song.channels, 24 if kind == "s32" else 16
        with Encoder(target, "flac", rate=rate, channels=channels, depth=depth) as encoder:
            for block in _blocks(song):
                samples = to_pcm(block, depth) if block.dtype.kind == "f" else block
                before.update(samples.data)
                encoder.write_native(samples)
        count, same = song.samples, kind in ("s16", "s32") and not song.bad_packets
    with Source(target) as made:
        for block in _blocks(made):
            after.update(block.data)
    exact = same and before.digest() == after.digest()
    return Prepared("flac", os.stat(target).st_size, exact, count / rate, rate, channels)


def _blocks(source: Source) -> Iterator[np.ndarray]:
    """The samples in blocks, in the decoder's own type; 24 bits stand on the left of 32."""
    held: list[np.ndarray] = []
    count = 0
    for samples in native(source.frames()):
        held.append(samples)
        count += len(samples)
        if count >= BLOCK:
            yield np.concatenate(held)
            held, count = [], 0
    if count:
        yield np.concatenate(held)
