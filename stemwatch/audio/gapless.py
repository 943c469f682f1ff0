"""Correct the padding that an MP3's header names, so that it decodes to its exact length.

FFmpeg caps the padding at one frame beyond the decoder's delay; where the last frame of a song
holds fewer than 47 samples, every player would add up to 46 (measured on PyAV 18).
Source: the LAME tag's revision 1 layout (offsets from its start, behind the Xing fields).
"""

from __future__ import annotations

_FRAME = 1_152  # samples in a Layer III frame of MPEG-1; MPEG-2 has half of that
_MPEG_1 = 32_000  # Hz, and more
_DELAYS, _CRC, _FIELDS = 21, 34, 4 + 4 + 4 + 4 + 100 + 4  # FIELDS: mark, flags, frames, bytes, TOC


def mend_padding(path: str, samples: int, rate: int) -> None:
    """Write the true padding for `samples` at `rate` Hz, and its checksum, into the Info frame."""
    with open(path, "r+b") as file:
        head = bytearray(file.read(512))
        mark = head.find(b"Info")
        lame = mark + _FIELDS
        if mark < 0 or len(head) < lame + _CRC + 2:
            return
        frames = int.from_bytes(head[mark + 8 : mark + 12])
        delays = int.from_bytes(head[lame + _DELAYS : lame + _DELAYS + 3])
        delay = delays >> 12
        length = frames * (_FRAME if rate >= _MPEG_1 else _FRAME // 2)
        padding = length - delay - samples
        if padding == delays & 0xFFF or not 0 <= padding < 1 << 12:
            return
        head[lame + _DELAYS : lame + _DELAYS + 3] = (delay << 12 | padding).to_bytes(3)
        head[lame + _CRC : lame + _CRC + 2] = _crc16(head[: lame + _CRC]).to_bytes(2)
        file.seek(0)
        file.write(head)


def _crc16(data: bytes | bytearray) -> int:
    """CRC-16/ARC, as LAME computes it."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
