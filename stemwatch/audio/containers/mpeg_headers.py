"""Headers of MPEG sound: what kind of frame this is, how long, and what a first one tells.

Sources: ISO/IEC 11172-3 and 13818-3; LAME's and Fraunhofer's notes on Xing, Info and VBRI frames.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

HEAD = 3  # bytes of a header that tell all that is needed here

_KBITS = {  # by (is MPEG-1, layer); index 0 is "free", 15 forbidden
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_LAME_DELAYS = 21  # bytes into LAME's part of the frame
_TOC, _QUALITY = 100, 4  # bytes


class Kind(NamedTuple):
    """What all frames of one song share: version bits (3: MPEG-1), layer, rate in Hz."""

    version: int
    layer: int
    rate: int

    @property
    def samples(self) -> int:
        """In one frame, per channel."""
        if self.layer == 1:
            return 384
        return 576 if self.layer == 3 and self.version != 3 else 1_152


class Told(NamedTuple):
    """What a Xing, Info or VBRI frame says: the frames behind it, the seconds that they play, those
    of them that are padding, and the bytes of them all; 0 where it doesn't say."""

    frames: int = 0
    seconds: float = 0.0
    padding: float = 0.0
    size: int = 0


def kind_of(head: bytes) -> Kind | None:
    """The kind of the frame that begins with these HEAD bytes; None if none does."""
    return _kinds().get(head)


@cache
def lengths_of(kind: Kind) -> dict[bytes, int]:
    """The length in bytes of every frame of this kind, by its first HEAD bytes."""
    version, layer, rate = kind
    lengths = {}
    for index, kbits in enumerate(_KBITS[version == 3, layer], 1):
        for low in range(4):  # padding, private
            third = index << 4 | _RATES[version].index(rate) << 2 | low
            if layer == 1:
                length = (12_000 * kbits // rate + (low >> 1)) * 4
            else:
                length = kind.samples // 8 * kbits * 1_000 // rate + (low >> 1)
            for unprotected in (0, 1):
                second = 0xE0 | version << 3 | (4 - layer) << 1 | unprotected
                lengths[bytes((0xFF, second, third))] = length
    return lengths


@cache
def _kinds() -> dict[bytes, Kind]:
    return {
        head: kind
        for version, rates in _RATES.items()
        for layer in (1, 2, 3)
        for kind in (Kind(version, layer, rate) for rate in rates)
        for head in lengths_of(kind)
    }


def told_by(frame: bytes, kind: Kind) -> Told | None:
    """What this first frame says of the length; None where it is sound.

    Looked for at its place only: a text tag may hold the word "Info" as well.
    """
    mono = len(frame) > 3 and frame[3] >> 6 == 3
    side = (17 if mono else 32) if kind.version == 3 else (9 if mono else 17)
    for at in (4 + side, 4 + side + 2):  # with a checksum it lies 2 bytes further, or it doesn't
        if frame[at : at + 4] in (b"Xing", b"Info"):
            return _xing(frame[at:], kind)
    if frame[36:40] == b"VBRI":
        size, frames = _number(frame, 46), _number(frame, 50)
        return Told(frames, frames * kind.samples / kind.rate, 0.0, size)
    return None


def _xing(mark: bytes, kind: Kind) -> Told:
    flags, at = _number(mark, 4), 8
    fields = []
    for flag, length in ((1, 4), (2, 4), (4, _TOC), (8, _QUALITY)):
        fields.append(_number(mark, at) if flags & flag else 0)
        at += length if flags & flag else 0
    frames, size = fields[:2]
    delays = int.from_bytes(mark[at + _LAME_DELAYS : at + _LAME_DELAYS + 3], "big")
    samples, padding = frames * kind.samples, (delays >> 12) + (delays & 0xFFF)
    if padding >= samples:  # LAME does so with a clip of some milliseconds: nothing is known of it
        return Told(size=size)
    return Told(frames, (samples - padding) / kind.rate, padding / kind.rate, size)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
