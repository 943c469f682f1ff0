"""Writes one stem of a stem file as a file of its own, with its own rate, in little memory.

Helper process only: this module imports PyAV.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

from av.audio.frame import AudioFrame

from stemwatch.audio.arrays import native, stereo
from stemwatch.audio.codec import BLOCK, Encoder
from stemwatch.audio.frames import Source
from stemwatch.audio.preparing.encoder_padding import sound_end, until
from stemwatch.audio.preparing.integers import Rounding
from stemwatch.audio.preparing.lossless import is_lossless
from stemwatch.audio.probe import BAD_SHARE
from stemwatch.audio.stem_file.recognising import stem_tracks
from stemwatch.codes import Code
from stemwatch.errors import Reject

_OF_MP3 = frozenset({8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})
_LEAST_GAP = 256  # samples: no frame is shorter, and time stamps may be rounded
_AGAIN = "Export it again from your stem creator, and drop that file."


def unpack(path: str, stem: str, out: str, format: str) -> None:
    """Write the track `stem` (drums, bass, other, vocals) of `path` to `out`: wav, flac or mp3.

    A lossless track of 16 or 24 bits stays as it is, bit for bit; AAC is rounded to 24 bits. An
    MP3 of more than 48 kHz is resampled. What does not decode becomes silence, so that the stems
    stay on one another. Raises Reject as `frames.Source` does, `corrupt` where more than 1 % of the
    track does not decode or its time stamps ask for more silence than it has sound, `unsupported`
    where it changes its shape midway, and OSError (disk full). The caller removes what a fault
    leaves in `out`.
    """
    tracks = stem_tracks(path)
    if tracks is None:
        raise _reject(path, stem, Code.NOT_AUDIO, "is no longer there: it is no stem file any more")
    with Source(path, track=tracks[stem]) as track:
        placed = _Placed(track, stem)
        try:
            if format == "mp3":
                _write_float(track, placed, out)
            else:
                _write_integers(track, placed, out, format)
        except ValueError as fault:  # of the packer
            why = "changes its rate or channels midway"
            raise _reject(path, stem, Code.UNSUPPORTED, why) from fault
    if not track.samples:
        raise _reject(path, stem, Code.NOT_AUDIO, "has nothing that decodes")
    share = placed.lost / placed.count
    if placed.lost > placed.longest and share > BAD_SHARE:
        raise _reject(path, stem, Code.CORRUPT, f"is damaged: {share:.1%} of it can't be decoded")


def _write_integers(track: Source, placed: _Placed, out: str, format: str) -> None:
    codec = str(track.stream.codec_context.codec.canonical_name)
    end = None if is_lossless(codec) else sound_end(track)  # ALAC has no padding to cut off
    blocks = until(end, native(placed.frames()))
    first = next(blocks, None)
    if first is None:
        return
    rounding = Rounding.of(codec, first.dtype)
    with Encoder(out, format, rate=track.sample_rate, depth=rounding.depth) as encoder:
        for block in chain([first], blocks):
            encoder.write_native(rounding.integers(block))


def _write_float(track: Source, placed: _Placed, out: str) -> None:
    rate, own = track.sample_rate, track.sample_rate
    if own not in _OF_MP3:
        rate = 44_100 if own % 11_025 == 0 else 48_000
    end = sound_end(track)
    end = None if end is None else round(end * rate / own)
    with Encoder(out, "mp3", rate=rate) as encoder:
        for block in until(end, stereo(placed.frames(), rate)):
            encoder.write(block)


class _Placed:
    """A track's frames by their time stamps: silence stands for what is not there.

    A packet that does not decode raises nothing in some decoders (ALAC), and only its frame is
    missing. `count` are the samples so far, `lost` those of silence behind the first frame,
    `longest` those of the longest frame.
    """

    def __init__(self, track: Source, stem: str) -> None:
        self._track, self._stem = track, stem
        self._end = sound_end(track) or 0
        self._silent = 0
        self.count = self.lost = self.longest = 0

    def frames(self) -> Iterator[AudioFrame]:
        for frame in self._track.frames():
            gap = self._gap(frame)
            self._require_sound(frame, gap)
            yield from self._silence(gap)
            self.count += frame.samples
            self.longest = max(self.longest, frame.samples)
            yield frame

    def _gap(self, frame: AudioFrame) -> int:
        """Samples that should come before this frame; none behind where the track says it ends."""
        if frame.pts is None or frame.time_base is None:
            return 0
        place = round(float(frame.pts * frame.time_base) * self._track.sample_rate)
        gap = min(place, self._end) - self.count
        return gap if gap >= _LEAST_GAP else 0

    def _require_sound(self, frame: AudioFrame, gap: int) -> None:
        """Raise Reject where silence outweighs the sound: time stamps of days would fill a disk."""
        track = self._track
        sound = max(track.stream.frames * frame.samples, track.samples)
        self._silent += gap
        if self._silent > sound + track.sample_rate:
            seconds, there = self._end / track.sample_rate, sound / track.sample_rate
            why = f"is damaged: it claims to last {seconds:.0f} s, and has sound for {there:.0f} s"
            raise _reject(track.path, self._stem, Code.CORRUPT, why)

    def _silence(self, samples: int) -> Iterator[AudioFrame]:
        self.lost += samples if self.count else 0
        self.count += samples
        context = self._track.stream.codec_context
        while samples > 0:
            frame = AudioFrame(context.format.name, context.layout.name, min(samples, BLOCK))
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate = self._track.sample_rate
            samples -= frame.samples
            yield frame


def _reject(path: str, stem: str, code: Code, why: str) -> Reject:
    return Reject(f"The {stem} track of {os.path.basename(path)!r} {why}.", code=code, hint=_AGAIN)
