"""What containers say of their own size, on hand-made bytes."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import mutagen.ogg
import numpy as np
import pytest

from stemwatch.audio.codec import to_pcm
from stemwatch.audio.ends import missing_share, ogg_is_cut
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
    assert missing_share(path) == missing


def test_rf64_sizes_are_taken_from_ds64(tmp_path: Path) -> None:
    """Beyond 4 GB the data chunk says 0xFFFFFFFF and ds64 the truth."""
    sizes = struct.pack("<QQQI", 0, 1000, 0, 0)
    path = riff(
        tmp_path / "a.wav",
        (b"ds64", len(sizes), sizes),
        (b"data", 0xFFFF_FFFF, bytes(500)),
        form=b"RF64",
    )
    assert missing_share(path) == 0.5


@pytest.mark.parametrize("size", [0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0023])
def test_the_sizes_that_pipes_leave_say_nothing(tmp_path: Path, size: int) -> None:
    """SoX, LAME and arecord each leave their own; a true size of 3 GB is none of them."""
    path = riff(tmp_path / "a.wav", (b"fmt ", 16, bytes(16)), (b"data", size, bytes(500)))
    assert missing_share(path) == 0.0
    path = riff(tmp_path / "b.wav", (b"fmt ", 16, bytes(16)), (b"data", 3 << 30, bytes(500)))
    assert missing_share(path) > 0.99


def test_aiff_and_w64_know_how_much_is_missing(tmp_path: Path) -> None:
    """The same question in big-endian, and in GUIDs with sizes of 64 bits."""
    aiff, w64 = tmp_path / "a.aiff", tmp_path / "a.w64"
    aiff.write_bytes(b"FORM\0\0\4\0AIFFCOMM\0\0\0\1x\0SSND" + (1000).to_bytes(4) + bytes(400))
    assert missing_share(os.fspath(aiff)) == pytest.approx(0.6)
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")
    head = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000") + bytes(8) + b"wave" + tail
    chunks = [(b"fmt ", 40, bytes(16)), (b"data", 1024, bytes(600))]
    body = b"".join(n + tail + size.to_bytes(8, "little") + data for n, size, data in chunks)
    w64.write_bytes(head + body)
    assert missing_share(os.fspath(w64)) == pytest.approx(0.4)


def ogg_page(flags: int) -> bytes:
    """A page of 60 bytes with the right checksum."""
    page = mutagen.ogg.OggPage()
    page.packets = [bytes(range(60))]
    page.first, page.last = bool(flags & 2), bool(flags & 4)
    return bytes(page.write())


@pytest.mark.parametrize(
    ("content", "is_cut"),
    [
        (ogg_page(2) + ogg_page(4), False),
        (ogg_page(2) + ogg_page(4) + bytes(9), False),
        (ogg_page(2) + ogg_page(4)[:-1], True),
        (ogg_page(2) + ogg_page(0), False),
        (ogg_page(2) + ogg_page(0)[:-1], True),
        (ogg_page(2) + ogg_page(0)[:-1] + b"x", True),
        (ogg_page(2) + ogg_page(0) + bytes(9), True),
        (bytes(100), True),
    ],
    ids=["whole", "junk behind", "cut", "no mark", "no mark, cut", "bad", "no mark, junk", "none"],
)
def test_an_ogg_ends_with_a_whole_page(tmp_path: Path, content: bytes, is_cut: bool) -> None:
    """Its mark proves that nothing follows; without one the last page has to be sound itself."""
    (tmp_path / "a.ogg").write_bytes(content)
    assert ogg_is_cut(os.fspath(tmp_path / "a.ogg")) is is_cut


def test_padding_is_mended_only_in_files_with_a_lame_tag(tmp_path: Path) -> None:
    """Anything else is left as it is."""
    path = tmp_path / "a.mp3"
    path.write_bytes(b"\xff\xfb" + bytes(600))
    before = path.read_bytes()
    mend_padding(os.fspath(path), 1000, 44_100)
    assert path.read_bytes() == before


def test_rounding_is_to_nearest_and_clips() -> None:
    """Half an LSB goes to the even neighbour in every stem alike; 24 bits are left-justified."""
    block = np.array([[0.5 / 32768, 1.5 / 32768], [-0.5 / 32768, 2.0], [-2.0, 1.4 / 32768]])
    assert to_pcm(block, 16).tolist() == [[0, 2], [0, 32767], [-32768, 1]]
    assert to_pcm(np.array([[1 / (1 << 23), -1.0]]), 24).tolist() == [[256, -(1 << 31)]]
