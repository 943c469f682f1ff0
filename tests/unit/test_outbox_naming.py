"""Names on disk: safe for every file system, within its length, still the user's own words."""

from __future__ import annotations

import itertools
import os
import tracemalloc
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.disks import space
from stemwatch.job import Options
from stemwatch.outbox import naming

SHA = "1a2b3c4d" + "0" * 56
ANY_NAME = st.text(
    st.characters(codec=None, blacklist_categories=()) | st.sampled_from("./\\ \n\0\udcffCON?é"),
    max_size=300,
)


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("song.mp3", "song"),
        ("song.v2.FLAC", "song.v2"),
        ("Artist - Title.Stem.M4A", "Artist - Title"),
        ("song.stem.mp4", "song"),
        ("song.stem.mp3", "song.stem"),
        (".stem.m4a", "_stem"),
        ('a<b>c:d"e/f\\g|h?i*j.mp3', "a_b_c_d_e_f_g_h_i_j"),
        ("line\nbreak\x7f.mp3", "line_break_"),
        ("cafe\u0301.mp3", "caf\u00e9"),
        ("\udcff\udcfe.mp3", "__"),
        ("trailing. . .mp3", "trailing"),
        (" .mp3", "untitled"),
        ("...", "untitled"),
        (".hidden.mp3", "_hidden"),
        (".stemwatch", "_stemwatch"),
        ("con.mp3", "_con"),
        ("Com1.live.mp3", "_Com1.live"),
        ("console.mp3", "console"),
        ("\U0001f3b8 👨‍👩‍👧.mp3", "\U0001f3b8 👨‍👩‍👧"),
    ],
)
def test_a_song_keeps_its_words_without_what_breaks_a_folder(filename: str, expected: str) -> None:
    """Only what some file system refuses is replaced."""
    assert naming.song_name(filename) == expected


@given(ANY_NAME)
def test_every_song_fits_with_every_suffix(filename: str) -> None:
    """Folder, sidecar and stems stay within 255 bytes, hidden from nobody, on every system."""
    song = naming.song_name(filename)
    assert song
    assert song[0] not in ". "
    assert song[-1] not in ". "
    assert not set(song) & set('<>:"/\\|?*\0\n')
    assert unicodedata.is_normalized("NFC", song)
    for folder in itertools.islice(naming.candidates(song, SHA), 0, 101, 50):
        files = naming.names_of_stems(folder, ("instrumental", "vocals"), "flac")
        assert all(len(n.encode()) <= 255 for n in (folder, naming.sidecar_file(folder), *files))


@given(st.text(min_size=1, max_size=300).filter(lambda s: "/" not in s and "\0" not in s))
def test_a_mix_named_by_the_user_is_one_plain_file(mix: str) -> None:
    """No mix name leaves the folder or grows too long, whatever its characters."""
    song = naming.song_name("x" * 300 + ".mp3")
    name = naming.name_of_stem(next(naming.candidates(song, SHA)), mix, "wav")
    assert "/" not in name
    assert name.endswith(").wav")
    assert len(name.encode()) <= 255


def test_long_names_that_differ_at_the_end_stay_different() -> None:
    """A cut name carries a hash of the whole."""
    names = {naming.song_name("ä" * 120 + tail + ".mp3") for tail in "abc"}
    assert len(names) == 3


def test_an_encrypted_folder_with_shorter_names_is_served() -> None:
    """143 bytes is what encrypted shares of some NAS allow."""
    song = naming.fit_song(naming.song_name("é" * 200 + ".mp3"), limit=143)
    files = naming.names_of_stems(f"{song} [1a2b3c4d-99]", ["instrumental"], "flac", limit=143)
    assert max(len(n.encode()) for n in [*files, naming.sidecar_file(song)]) <= 143


def test_stems_and_mixes_are_title_cased_and_never_share_a_file() -> None:
    """Two mixes whose names differ in case only get two files."""
    files = naming.names_of_stems("song", ["vocals", "no_drums", "No Drums", "a/b"], "wav")
    assert files[0] == "song (Vocals).wav"
    assert files[1] == "song (No Drums).wav"
    assert files[3] == "song (A B).wav"
    assert len({naming.fold(name) for name in files}) == 4


def test_candidates_come_in_order() -> None:
    """The name, then with eight digits of the hash, then counted."""
    first = list(itertools.islice(naming.candidates("song", SHA), 4))
    assert first == ["song", "song [1a2b3c4d]", "song [1a2b3c4d-2]", "song [1a2b3c4d-3]"]


def test_a_file_keeps_its_bytes_and_gets_its_suffix_before_the_extension() -> None:
    """Bytes that are no UTF-8 and names of 255 bytes included."""
    odd = os.fsdecode(b"\xff\xfe.mp3")
    assert list(itertools.islice(naming.file_candidates(odd, SHA), 2)) == [
        odd,
        os.fsdecode(b"\xff\xfe [1a2b3c4d].mp3"),
    ]
    long = "é" * 125 + "a.mp3"
    first, second, third = itertools.islice(naming.file_candidates(long, SHA), 3)
    assert first == long
    assert second != third
    for name in (second, third):
        assert len(os.fsencode(name)) <= 255
        assert name.endswith(".mp3")
        assert "\udcc3" not in name, "cut through a character"


def test_mirrored_folders_are_made_safe_as_well() -> None:
    """Every component, and never a way out of the outbox."""
    assert naming.mirror("song.mp3") == ""
    assert naming.mirror("a?/b /../song.mp3") == "a_/b/untitled"
    assert naming.mirror("Jazz/CON/song.mp3") == "Jazz/_CON"


def test_room_is_asked_for_every_file() -> None:
    """Mixes take room like stems do, and a float WAV of 4 minutes takes 92 MB."""
    stems = space.needed_bytes(240.0, Options(stems=4, format="wav"))
    mixed = space.needed_bytes(240.0, Options(stems=4, format="wav", mixes={"x": ("drums",)}))
    assert stems >= 4 * 240 * 384_000
    assert mixed == stems * 5 // 4
    assert space.needed_bytes(240.0, Options(stems=2, format="mp3")) < stems / 10


def test_a_free_name_is_told_without_a_list_of_the_outbox(tmp_path: Path) -> None:
    """Each song asks, several at once: with 15,000 songs there that took megabytes each time."""
    for number in range(2000):
        (tmp_path / f"song {number}").touch()
    assert naming.taken(str(tmp_path), "SONG 1999")
    tracemalloc.start()
    try:
        assert not naming.taken(str(tmp_path), "another")
        assert tracemalloc.get_traced_memory()[1] < 20_000  # a list takes 140,000
    finally:
        tracemalloc.stop()
