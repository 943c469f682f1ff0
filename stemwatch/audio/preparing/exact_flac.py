"""Encodes a song as FLAC and compares both, sample by sample. Helper process only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from itertools import chain

import numpy as np

from stemwatch.audio.arrays import native
from stemwatch.audio.codec import Encoder, gathered
from stemwatch.audio.frames import Source
from stemwatch.audio.preparing.encoder_padding import sound_end, until
from stemwatch.audio.preparing.integers import Rounding
from stemwatch.audio.results import Prepared
from stemwatch.codes import Code
from stemwatch.errors import Reject

_MOST_CHANNELS = 8  # of a FLAC


def prepare(source: str, target: str) -> Prepared:
    """Write `source` as FLAC to `target`, with its own rate and channels, in 16 or 24 bits.

    It is what the decoder gives, without the encoder's delay and padding where the file tells
    them: a stem of it lies on the original to the sample. `exact` says whether the FLAC decodes to
    the very samples of a lossless source. Otherwise it is the decoded sound, rounded without
    dither: to 16 bits where the decoder gives those, and of an MP3; else to 24. Memory does not
    grow with the length. Raises Reject as `Source` does, `unsupported` for more than 8 channels and
    for sound that changes its shape midway, OSError (disk full). The caller removes what a fault
    leaves in `target`.
    """
    before, after = hashlib.sha256(), hashlib.sha256()
    with Source(source) as song:
        rate, channels = song.sample_rate, song.channels
        if channels > _MOST_CHANNELS:
            raise _unsupported(source, f"has {channels} channels, and a FLAC {_MOST_CHANNELS}")
        blocks = until(sound_end(song), _blocks(song))
        first = next(blocks, None)
        if first is None:
            raise _unsupported(source, "has no sound that decodes")
        rounding, count = Rounding.of(_codec(song), first.dtype), 0
        depth, layout = rounding.depth, _layout(song)
        with Encoder(
            target, "flac", rate=rate, channels=channels, depth=depth, layout=layout
        ) as encoder:
            for block in chain([first], blocks):
                samples = rounding.integers(block)
                before.update(samples.data)
                encoder.write_native(samples)
                count += len(samples)
        same = rounding.exact and not song.bad_packets
    with Source(target, "flac") as made:
        for block in _blocks(made):
            after.update(block.data)
    exact = same and before.digest() == after.digest()
    return Prepared("flac", os.stat(target).st_size, exact, count / rate, rate, channels)


def _codec(song: Source) -> str:
    return str(song.stream.codec_context.codec.canonical_name)


def _layout(song: Source) -> str:
    """What its channels are, so that a 2.1 is no 3.0; "" where FFmpeg has no single word for it."""
    name = str(song.stream.codec_context.layout.name)
    return "" if " " in name or song.channels <= 2 else name  # "3 channels" says nothing more


def _blocks(source: Source) -> Iterator[np.ndarray]:
    """The samples in blocks, in the decoder's own type; 24 bits stand on the left of 32."""
    try:
        yield from gathered(native(source.frames()))
    except ValueError as fault:  # of the packer
        raise _unsupported(source.path, "changes its rate or channels midway") from fault


def _unsupported(path: str, why: str) -> Reject:
    return Reject(
        f"{os.path.basename(path)!r} can't be made a FLAC: it {why}.",
        code=Code.UNSUPPORTED,
        hint="Save it in stereo, with one sample rate, in an audio editor, and drop that.",
    )
