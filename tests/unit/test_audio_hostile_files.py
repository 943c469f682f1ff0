"""Odd files that are made to take a reader's time or memory, or to break it."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stemwatch.audio.containers.chunks import samples_of
from stemwatch.audio.containers.matroska_blocks import blocks_of
from stemwatch.audio.containers.mpeg_frames import frames_of

# In a process of its own: what fails here takes a core, or all memory.
_LOOK = r"""
import os, re, resource, sys
from pathlib import Path
from stemwatch.audio.containers.matroska_blocks import blocks_of
from stemwatch.audio.soundhash.sounds import listener_for

def peak():  # KiB; ru_maxrss would begin with that of the parent
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])

resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
before = peak()
with open(sys.argv[1], "rb") as file:
    listener = listener_for(file.fileno(), os.fstat(file.fileno()).st_size)
    while data := file.read(1 << 20):
        listener.feed(memoryview(data))
assert listener.hexdigest() is None
blocks_of(sys.argv[1])
print(peak() - before)
"""
_MOST = 40 << 10  # KiB by which it may grow


def _element(kind: bytes, body: bytes) -> bytes:
    return kind + (1 << 56 | len(body)).to_bytes(8, "big") + body


def _matroska(info: bytes, cluster: bytes = b"\xe7\x81\0") -> bytes:
    tracks = _element(b"\x16\x54\xae\x6b", b"\xae\x80")
    sound = _element(b"\x1f\x43\xb6\x75", cluster)
    segment = _element(b"\x15\x49\xa9\x66", info) + tracks + sound
    return _element(b"\x1a\x45\xdf\xa3", b"\x42\x86\x81\1") + _element(b"\x18\x53\x80\x67", segment)


def _info_with_a_cut_header() -> bytes:
    return _matroska(b"\x2a\xd7\xb2\x81\x0f\x2a")


def _info_of_sixty_megabytes() -> bytes:
    return _matroska(_element(b"\xec", bytes(60 << 20)))


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _runs_that_go_back() -> bytes:
    """Each of 40,000 runs goes from the first of 250,000 chunks to the last."""
    chunks, pairs = 250_000, 40_000
    places = struct.pack(">I", 40) * chunks
    return _m4a(places, struct.pack(">6I", 1, 1, 1, chunks + 1, 1, 1) * pairs)


def _chunks_without_samples() -> bytes:
    """Only the last of 600,000 holds one; no two of them touch."""
    chunks = 600_000
    places = struct.pack(f">{chunks}I", *range(40, 40 + 2 * chunks, 2))
    return _m4a(places, struct.pack(">6I", 1, 0, 1, chunks, 1, 1))


def _m4a(places: bytes, runs: bytes) -> bytes:
    """A sound track of one sample."""
    places = struct.pack(">II", 0, len(places) // 4) + places
    table = struct.pack(">II", 0, len(runs) // 12) + runs
    sizes = _box(b"stsz", struct.pack(">4I", 0, 0, 1, 100))
    samples = _box(b"stbl", sizes + _box(b"stco", places) + _box(b"stsc", table))
    own = _box(b"dref", struct.pack(">II", 0, 1) + _box(b"url ", bytes((0, 0, 0, 1))))
    handler = _box(b"hdlr", bytes(8) + b"soun" + bytes(12))
    inside = _box(b"mdhd", bytes(24)) + handler + _box(b"minf", _box(b"dinf", own) + samples)
    track = _box(b"trak", _box(b"mdia", inside))
    return _box(b"ftyp", b"M4A \0\0\0\0") + _box(b"moov", _box(b"mvhd", bytes(100)) + track)


def _pages_without_a_body() -> bytes:
    """Each says that 255 packets end on it, and all of them are empty."""

    def page(flags: int, lacing: bytes) -> bytes:
        return b"OggS\0" + bytes((flags,)) + bytes(20) + bytes((len(lacing),)) + lacing

    return page(2, b"") + page(0, bytes(255)) * 4_000


@pytest.mark.parametrize(
    "make",
    [
        _info_with_a_cut_header,
        _info_of_sixty_megabytes,
        _runs_that_go_back,
        _chunks_without_samples,
        _pages_without_a_body,
    ],
)
def test_it_takes_neither_time_nor_memory(tmp_path: Path, make: Callable[[], bytes]) -> None:
    path = tmp_path / "song"
    path.write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < _MOST


def test_a_file_of_single_frames_is_not_read_again_for_each(tmp_path: Path) -> None:
    """Behind each frame lies what looks like a tag, and is none."""
    count = 10_000
    path = tmp_path / "song.mp3"
    path.write_bytes((b"\xff\xf3\x14" + bytes(21) + b"APE\1\1\1\1") * count)
    before = _bytes_read()
    assert len(frames_of(str(path)).starts) == count
    assert _bytes_read() - before < count * (64 << 10)


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.parametrize(
    "head",
    [
        bytes.fromhex("726966662e91cf11a5d628db04c10000") + bytes(24 + 16) + b"\xff" * 8,
        b"caff" + bytes(4) + b"free\x7f" + b"\xff" * 7,
    ],
    ids=["w64", "caf"],
)
def test_a_chunk_that_ends_where_no_file_does_is_no_fault(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "song"
    path.write_bytes(head + bytes(30))
    with open(path, "rb") as file:
        assert samples_of(file) is None


@pytest.mark.parametrize(
    ("info", "time"),
    [(b"", b"\1" * 200), (_element(b"\x2a\xd7\xb1", b"\1" * 200), b"\1")],
    ids=["time", "scale"],
)
def test_a_number_that_no_float_holds_is_no_fault(tmp_path: Path, info: bytes, time: bytes) -> None:
    block = b"\xe7" + (1 << 56 | len(time)).to_bytes(8, "big") + time + b"\xa3\x86\x81\0\0\0AB"
    path = tmp_path / "song.webm"
    path.write_bytes(_matroska(info, block))
    assert blocks_of(str(path)) is None
