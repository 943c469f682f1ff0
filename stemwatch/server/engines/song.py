"""One song in, its stems, tempo and key out: what all engines share. Decoded once, bounded memory.

Runs in a worker process of the separation server (it imports numpy, scipy and PyAV). Any source is
brought to 44.1 kHz stereo; stems come back at that rate.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from stemwatch.audio.codec import Encoder, decode
from stemwatch.audio.probe import probe
from stemwatch.audio.surveys.seen import SHORT_SHARE
from stemwatch.job import STEMS
from stemwatch.server.analysis import Analyser
from stemwatch.server.engines import read_through
from stemwatch.server.engines.spectral.bands import RATE
from stemwatch.server.engines.spectral.stft import Array

Progress = Callable[[float], None]
Stream = Callable[[Iterable[Array]], Iterator[Array]]


@dataclass(frozen=True, slots=True)
class Separation:
    """What was made of a song.

    `stems` maps stem id to file path. `bpm` is in beats a minute, `key` like "C# minor"; both are
    None where the song has none to hear (silence, too short, noise). Confidences are 0 to 1, None
    where the value is. `duration` is in seconds of audio. `tuning_cents` is from A4 = 440 Hz,
    `first_beat_seconds` of the grid of `bpm`.
    """

    stems: dict[str, str]
    bpm: float | None
    key: str | None
    bpm_confidence: float | None
    key_confidence: float | None
    duration: float
    tuning_cents: float | None = None
    first_beat_seconds: float | None = None


def separate_song(
    source: str, out_dir: str, *, stems: int, format: str, progress: Progress, stream: Stream
) -> Separation:
    """Separate `source` into `out_dir`/<stem id>.<format>, in the order of STEMS[`stems`].

    `stream` makes of the mix, blocks of float32 (n, 2), int16 pieces (stems, n, 2) that sum to it
    (see `headroom`) and are together as long.

    The stems sum to the mix: exactly, sample by sample, to the mix in 16 bits before they are
    encoded, so in wav and flac after it as well; mp3 adds its own coding noise, no more than the
    mix itself gets as mp3. A mix above full scale is clipped as its own 16-bit file would be.
    `progress` gets the share done, 0 to 1, never falling; what it raises ends the separation.

    Raises Reject (`not_audio`, `no_audio_stream`, `truncated`, `corrupt`); OSError where a file
    can't be read or written. Files begun before an error are removed.
    """
    paths = {stem: os.path.join(out_dir, f"{stem}.{format}") for stem in STEMS[stems]}
    seconds = probe(source).duration
    meter = _Meter(progress, seconds)
    analyser = Analyser()
    mix = _Tap(decode(source, rate=RATE), analyser)
    try:
        _write(stream(mix), list(paths.values()), format, meter)
        if mix.length < (1 - SHORT_SHARE) * seconds * RATE:
            _require_end(source, mix.length, meter)
    except BaseException:
        _remove(paths.values())
        raise
    heard = analyser.result()
    progress(1.0)
    return Separation(
        paths,
        bpm=heard.bpm,
        key=heard.key,
        bpm_confidence=heard.bpm_confidence,
        key_confidence=heard.key_confidence,
        duration=mix.length / RATE,
        tuning_cents=heard.tuning,
        first_beat_seconds=heard.first_beat,
    )


class _Tap:
    """Passes the decoded blocks on, letting the analyser hear each one."""

    def __init__(self, blocks: Iterable[Array], analyser: Analyser) -> None:
        self._blocks, self._analyser = blocks, analyser
        self.length = 0  # samples so far

    def __iter__(self) -> Iterator[Array]:
        for block in self._blocks:
            self.length += len(block)
            self._analyser.add(block)
            yield block


class _Meter:
    """Turns samples done into the share done."""

    def __init__(self, progress: Progress, seconds: float) -> None:
        self._progress, self._expected, self._done = progress, max(1.0, seconds * RATE), 0
        progress(0.0)

    def add(self, samples: int) -> None:
        self._done += samples
        # The last blocks are still to be encoded, and a declared length may be short of the truth
        self._progress(min(self._done / self._expected, 0.99))


def _write(pieces: Iterable[Array], paths: list[str], format: str, meter: _Meter) -> None:
    """Encodes int16 pieces (stems, n, 2), each stem to its path."""
    with ExitStack() as open_files:
        encoders = [open_files.enter_context(Encoder(path, format, rate=RATE)) for path in paths]
        for piece in pieces:
            for encoder, sound in zip(encoders, piece, strict=True):
                if encoder.depth:
                    encoder.write_native(sound)
                else:
                    encoder.write(sound / 32_768)
            meter.add(piece.shape[1])


def _require_end(source: str, length: int, meter: _Meter) -> None:
    """OSError unless the song ends after so many samples: a failed read ends a decoding as well.

    Some songs are shorter than they say. Those end there again. A job that nothing is heard of for
    long is ended, so progress is told meanwhile.
    """
    read_through(source)
    for block in decode(source, rate=RATE):
        length -= len(block)
        meter.add(len(block))
    if length:
        raise OSError(errno.EIO, "The song's end was not read", source)


def _remove(paths: Iterable[str]) -> None:
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)
