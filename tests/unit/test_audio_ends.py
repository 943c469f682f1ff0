"""What containers say of their own size, on hand-made bytes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from stemwatch.audio.codec import to_pcm
from stemwatch.audio.ends import has_length_header, missing_share
from stemwatch.audio.gapless import mend_padding


def riff(path: Path, *chunks: tuple[bytes, int, bytes], form: bytes = b"RIFF") -> str:
    """A RIFF file of (name, declared size, content) chunks."""
    body = b"".join(name + struct.pack("<I", size) + content for name, size, content in chunks)
    path.write_bytes(form + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)
    return os.fspath(path)


@pytest.mark.parametrize(
    ("declared", "there", "missing"),
    [(1000, 1000, 0.0), (1000, 250, 0.75), (0, 500, 0.0), (0xFFFF_FFFF, 500, 0.0), (100, 200, 0.0)],
)
def test_a_wav_knows_how_much_of_it_is_missing(
    tmp_path: Path, declared: int, there: int, missing: float
) -> None:
    """The data chunk counts, behind chunks of odd size; streamed files declare nothing."""
    path = riff(
        tmp_path / "a.wav",
        (b"fmt ", 16, bytes(16)),
        (b"LIST", 3, b"abc\0"),
        (b"data", declared, bytes(there)),
    )
    assert missing_share(path, "wav") == missing


def test_rf64_sizes_are_taken_from_ds64(tmp_path: Path) -> None:
    """Beyond 4 GB the data chunk says 0xFFFFFFFF and ds64 the truth."""
    sizes = struct.pack("<QQQI", 0, 1000, 0, 0)
    path = riff(
        tmp_path / "a.wav",
        (b"ds64", len(sizes), sizes),
        (b"data", 0xFFFF_FFFF, bytes(500)),
        form=b"RF64",
    )
    assert missing_share(path, "wav") == 0.5


@pytest.mark.parametrize(("flags", "missing"), [(4, 0.0), (0, 1.0)])
def test_an_ogg_ends_with_its_mark(tmp_path: Path, flags: int, missing: float) -> None:
    """The last page's header carries the end-of-stream flag."""
    page = b"OggS\0" + bytes([flags]) + bytes(60)
    (tmp_path / "a.ogg").write_bytes(b"OggS\0\0" + bytes(60) + page)
    assert missing_share(os.fspath(tmp_path / "a.ogg"), "ogg") == missing


def test_the_length_header_is_looked_for_before_the_first_packet(tmp_path: Path) -> None:
    """The word Info in the music itself proves nothing."""
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3" + bytes(5000) + b"Xing" + bytes(400))
    assert has_length_header(os.fspath(path), 5400)
    path.write_bytes(b"ID3" + bytes(5000) + b"Info" + bytes(400))
    assert not has_length_header(os.fspath(path), 5000)


def test_padding_is_mended_only_in_files_with_a_lame_tag(tmp_path: Path) -> None:
    """Anything else is left as it is."""
    path = tmp_path / "a.mp3"
    path.write_bytes(b"\xff\xfb" + bytes(600))
    before = path.read_bytes()
    mend_padding(os.fspath(path), 1000)
    assert path.read_bytes() == before


def test_rounding_is_to_nearest_and_clips() -> None:
    """Half an LSB goes to the even neighbour in every stem alike; 24 bits are left-justified."""
    block = np.array([[0.5 / 32768, 1.5 / 32768], [-0.5 / 32768, 2.0], [-2.0, 1.4 / 32768]])
    assert to_pcm(block, 16).tolist() == [[0, 2], [0, 32767], [-32768, 1]]
    assert to_pcm(np.array([[1 / (1 << 23), -1.0]]), 24).tolist() == [[256, -(1 << 31)]]
