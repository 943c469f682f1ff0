"""The hash of the sound alone: tags change nothing in it, and all that sounds changes it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.mp4 import MP4, MP4FreeForm

from stemwatch.audio.soundhash.sounds import listener_for
from tests.support.audio_samples import decoded
from tests.support.odd_files import encode
from tests.support.retag import KINDS, make, retag


def digest(path: Path, block: int = 1 << 16) -> str | None:
    """The digest of a file that is shown a block at a time."""
    with open(path, "rb") as file:
        listener = listener_for(file.fileno(), os.fstat(file.fileno()).st_size)
        while data := file.read(block):
            listener.feed(memoryview(data))
    return listener.hexdigest()


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("songs")
    return {name: make(folder, name) for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_a_tag_editor_leaves_it_as_it_is(songs: dict[str, Path], tmp_path: Path, name: str) -> None:
    """A title; another, far longer one; a cover of 200 KB, which moves all the sound."""
    path = tmp_path / name
    path.write_bytes(songs[name].read_bytes())
    before, sound = digest(path), decoded(path)
    assert before is not None
    for title, cover in (("One", 0), ("Two " * 500, 0), ("Three", 200_000), ("Four", 0)):
        old = path.read_bytes()
        retag(path, title, cover=cover)
        assert path.read_bytes() != old
        assert digest(path) == before
    assert (decoded(path) == sound).all()


@pytest.mark.parametrize("kind", [b"PEAK", b"levl"])
@pytest.mark.parametrize("name", ["song.wav", "song.aiff"])
def test_when_it_was_written_is_no_part_of_it(
    songs: dict[str, Path], tmp_path: Path, name: str, kind: bytes
) -> None:
    """libsndfile puts the second into each file of floats: the same mix saved twice is one song."""
    data = songs[name].read_bytes()
    order: Literal["little", "big"] = "little" if name.endswith("wav") else "big"
    found = {digest(songs[name])}
    for second in (1_790_000_000, 1_790_000_001):
        content = (1).to_bytes(4, order) + second.to_bytes(4, order) + bytes(8)
        chunk = kind + len(content).to_bytes(4, order) + content
        size = (len(data) - 8 + len(chunk)).to_bytes(4, order)
        path = tmp_path / f"{second}-{name}"
        path.write_bytes(data[:4] + size + data[8:12] + chunk + data[12:])
        assert (decoded(path) == decoded(songs[name])).all()
        found.add(digest(path))
    assert len(found) == 1
    assert None not in found


@pytest.mark.parametrize("name", KINDS)
def test_blocks_of_any_length_sound_alike(songs: dict[str, Path], name: str) -> None:
    assert len({digest(songs[name], block) for block in (1, 7, 4_096, 1 << 20)}) == 1


def test_no_two_songs_have_the_same(songs: dict[str, Path], tmp_path: Path) -> None:
    """Other kinds, other sound, another rate, more of a song; only the index may lie elsewhere."""
    assert digest(songs["first.m4a"]) == digest(songs["song.m4a"])
    found = [digest(path) for name, path in songs.items() if name != "first.m4a"]
    for name in set(KINDS) - {"first.m4a"}:
        found.append(digest(make(tmp_path / "other", name, seed=2)))
        found.append(digest(make(tmp_path / "longer", name, seconds=1.5)))
    slower = ("song.wav", "song.aiff", "song.flac", "song.m4a", "vorbis.ogg")
    found += [digest(make(tmp_path / "slower", name, rate=22_050)) for name in slower]
    assert None not in found
    assert len(set(found)) == len(found)


def test_the_rate_in_a_header_is_part_of_the_sound(songs: dict[str, Path], tmp_path: Path) -> None:
    data = songs["song.wav"].read_bytes()
    other = tmp_path / "slow.wav"
    other.write_bytes(data[:24] + (22_050).to_bytes(4, "little") + data[28:])
    assert digest(other) not in (None, digest(songs["song.wav"]))


@pytest.mark.parametrize("name", KINDS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_whatever_changes_the_sound_changes_it(
    songs: dict[str, Path], name: str, data: st.DataObject
) -> None:
    """One byte in the last three quarters of a file: in the sound, but for an index behind it."""
    path = songs[name]
    whole = bytearray(path.read_bytes())
    end = whole.rfind(b"moov") - 8 if whole.rfind(b"moov") > len(whole) // 2 else len(whole)
    end -= 4_096 if name.endswith((".webm", ".mka")) else 0  # its tables and tags
    at = data.draw(st.integers(len(whole) // 2, end - 200))
    page = whole.rfind(b"OggS", 0, at)
    if whole[:4] == b"OggS" and at - page < 26:
        return  # its number and its checksum: a tag editor changes them
    whole[at] ^= data.draw(st.integers(1, 255))
    changed = path.with_name(f"changed-{name}")
    changed.write_bytes(bytes(whole))
    assert digest(changed) != digest(path)


@pytest.mark.parametrize("name", KINDS)
def test_a_cut_file_has_none_or_another(songs: dict[str, Path], tmp_path: Path, name: str) -> None:
    whole = songs[name].read_bytes()
    for share in (0.01, 0.3, 0.7, 0.99):
        cut = tmp_path / name
        cut.write_bytes(whole[: int(len(whole) * share)])
        assert digest(cut) != digest(songs[name])


def _streamed(data: bytes) -> bytes:
    """A WAV that was written to a pipe: nobody knows where its sound ends."""
    at = data.index(b"data") + 4
    return data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]


def test_what_is_odd_has_none(songs: dict[str, Path], tmp_path: Path) -> None:
    """Where a tag might hide sound, or sound a tag, only the bytes decide."""
    wav, mp3, opus, flac, webm = (
        songs[name].read_bytes()
        for name in ("song.wav", "song.mp3", "song.opus", "song.flac", "song.webm")
    )
    footer = b"APETAGEX" + (1000).to_bytes(4, "little") + len(mp3[:9000]).to_bytes(4, "little")
    odd = {
        "empty": b"",
        "text": b"no song" * 100,
        "streamed": _streamed(wav),
        "behind": wav + b"sound?" * 3,
        "headless ape": mp3 + footer + bytes(16),
        "chain": opus + opus,
        "no sound": opus[: opus.index(b"OpusTags") + 30],
        "behind a page": opus + b"TAG" + bytes(125),
        "surround": flac[:20] + bytes((flac[20] | 0x0E,)) + flac[21:],
        "no frames": flac[:42],
        "live": webm.replace(b"\x18\x53\x80\x67", b"\x18\x53\x80\x67\xff", 1),
    }
    for name, data in odd.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert digest(path) is None, name


def test_what_players_leave_out_at_the_ends_is_part_of_the_sound(
    songs: dict[str, Path], tmp_path: Path
) -> None:
    """FFmpeg takes it from the tag `iTunSMPB`: with other numbers other samples are uploaded."""
    found = []
    for gap in ("00000840", "00000210"):
        path = tmp_path / f"{gap}.m4a"
        path.write_bytes(songs["song.m4a"].read_bytes())
        mp4 = MP4(path)
        text = f" 00000000 {gap} 000001CA 000000000000AC44".encode()
        mp4["----:com.apple.iTunes:iTunSMPB"] = [MP4FreeForm(text)]
        mp4.save()
        found.append(digest(path))
    assert None not in found
    assert len({*found, digest(songs["song.m4a"])}) == 3


def test_a_file_of_fragments_has_none(tmp_path: Path) -> None:
    fragments = tmp_path / "fragments.m4a"
    encode(fragments, "aac", container="mp4", options={"movflags": "frag_keyframe+empty_moov"})
    assert digest(fragments) is None
