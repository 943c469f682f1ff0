"""Makes stem files for tests: a mix and four stems in one MP4, in Native Instruments' layout."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import mutagen.mp4
import numpy as np
from av.stream import Disposition

RATE = 44_100
NAMES = ("Drums", "Bass", "Other", "Vox")
_FRAME = {"alac": 4_096, "aac": 1_024}


def sounds(count: int = 4, seconds: float = 2.0, *, rate: int = RATE) -> list[np.ndarray]:
    """Quiet noise, each another: int16 of shape (n, 2), so that their sum does not clip."""
    random = np.random.default_rng(5)
    length = round(seconds * rate)
    return [random.integers(-4_000, 4_000, (length, 2)).astype(np.int16) for _ in range(count)]


def manifest(names: Sequence[str] = NAMES, version: Any = 1) -> bytes:
    """What the atom `stem` holds."""
    stems = [{"name": name, "color": "#009E73"} for name in names]
    return json.dumps({"version": version, "stems": stems}).encode()


def write(
    path: Path,
    stems: Sequence[np.ndarray],
    *,
    codecs: Sequence[str] = ("alac",) * 5,
    rate: int = RATE,
    told: bytes | None = manifest(),
    tags: Mapping[str, Any] | None = None,
) -> Path:
    """The stems (int16, or 24 bits on the left of int32; shape (n, channels)) behind their sum.

    `told`: the atom, or None. `codecs`: of the mix and of each stem. The file appears whole, since
    a service may be watching.
    """
    longest = max(map(len, stems))
    mix = np.zeros((longest, 2), stems[0].dtype)
    for stem in stems:
        mix[: len(stem)] += stem  # one channel is added to both
    part = path.with_name(f".writing {path.name}")
    with av.open(str(part), "w", format="ipod") as box:
        tracks = [
            _track(box, codec, rate, samples)
            for codec, samples in zip(codecs, [mix, *stems], strict=False)
        ]
        for number, track in enumerate(tracks):
            track.disposition = Disposition.default if number == 0 else Disposition(0)
        for start in range(0, longest, rate):  # interleaved, a second each
            for track, samples in zip(tracks, [mix, *stems], strict=False):
                _encode(box, track, samples, start, min(start + rate, len(samples)))
        for track in tracks:
            box.mux(track.encode(None))
    if tags is not None:
        file: Any = mutagen.mp4.MP4(str(part))
        file.update(tags)
        file.save()
    if told is not None:
        _insert(part, told)
    return part.rename(path)


def stretch(song: Path, samples: int) -> None:
    """Have the tables of times say that each packet but the last lasts so many samples."""
    data = bytearray(song.read_bytes())

    def put(kind: bytes, at: int, value: int) -> None:
        begin = -1
        while (begin := data.find(kind, begin + 1)) >= 0:
            struct.pack_into(">I", data, begin + at, value)

    count, _, _, last = struct.unpack_from(">4I", data, data.index(b"stts") + 12)
    length = count * samples + last
    put(b"stts", 16, samples)
    put(b"mdhd", 20, length)
    for kind, at in ((b"mvhd", 20), (b"tkhd", 24), (b"elst", 12)):
        put(kind, at, length * 1000 // RATE)
    song.write_bytes(data)


def _track(box: Any, codec: str, rate: int, samples: np.ndarray) -> Any:
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    track = box.add_stream(codec, rate=rate, layout=layout, format=_format(codec, samples))
    if codec == "aac":
        track.bit_rate = 256_000
    return track


def _format(codec: str, samples: np.ndarray) -> str:
    if codec == "aac":
        return "fltp"
    return "s16p" if samples.dtype == np.int16 else "s32p"


def _encode(box: Any, track: Any, samples: np.ndarray, start: int, end: int) -> None:
    codec, rate = track.codec_context.name, track.codec_context.sample_rate
    format = _format(codec, samples)
    for at in range(start, end, _FRAME[codec]):
        block = np.ascontiguousarray(samples[at : min(at + _FRAME[codec], end)].T)
        if format == "fltp":
            block = block.astype(np.float32) / 32_768
        frame = av.AudioFrame.from_ndarray(block, format=format, layout=track.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        box.mux(track.encode(frame))


def _insert(path: Path, told: bytes) -> None:
    """Put the atom at the end of `moov/udta`. `moov` is behind the samples, so that none move."""
    data = path.read_bytes()
    begin, end = _atom(data, b"moov", 0, len(data))
    assert end == len(data)
    atom = _box(b"stem", told)
    inside = data[begin + 8 : end]
    at = _atom(inside, b"udta", 0, len(inside))
    if at is None:
        inside += _box(b"udta", atom)
    else:
        inside = inside[: at[0]] + _box(b"udta", inside[at[0] + 8 : at[1]] + atom) + inside[at[1] :]
    path.write_bytes(data[:begin] + _box(b"moov", inside))


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _atom(data: bytes, wanted: bytes, at: int, end: int) -> Any:
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == wanted:
            return at, at + size
        at += size
    return None
