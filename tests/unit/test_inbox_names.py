"""Which names are songs, junk, or in the making."""

import pytest

from stemwatch.inbox.names import Filter, holds_back, temp_siblings

SONGS = Filter(["mp3", ".WAV", "flac", "m4a", "ogg", "webm"])


@pytest.mark.parametrize(
    "name",
    ["a.mp3", "A.MP3", "b.Wav", "x.part.mp3", "~a.mp3", "é\n\udcff.flac", "a b.ogg", "tmp.webm"],
)
def test_songs_are_wanted_in_any_case(name: str) -> None:
    """An allowed extension in any case makes a song."""
    assert SONGS.wanted(name)


@pytest.mark.parametrize(
    "name",
    [
        *("mp3", ".mp3", ".a.mp3", "._a.mp3", "~$a.mp3", "a.txt", "a.mp3~", "a", ""),
        *(".syncthing.a.mp3.tmp", "~syncthing~a.mp3.tmp", "~SyncThing~a.mp3"),
        *("a.sync-conflict-20260101-120000-ABCDEFG.mp3", "a.SYNC-conflict-1.wav"),
        *("a.mp3.part", "a.mp3.crdownload", "a.mp3.!qB", "a.mp3.PART", ".nfs000.mp3"),
    ],
)
def test_junk_is_not_wanted(name: str) -> None:
    """Dotfiles, temp files, sync conflicts and other extensions are left alone."""
    assert not SONGS.wanted(name)


def test_extension_that_means_temporary_is_never_wanted() -> None:
    """Even a user who lists `part` gets no half downloads."""
    assert not Filter(["part", "tmp", "mp3"]).wanted("a.mp3.part")


@pytest.mark.parametrize(
    "name", ["@eaDir", "@EADIR", "#recycle", "$RECYCLE.BIN", ".stversions", "_UNPACK_x", "__MACOSX"]
)
def test_system_folders_are_pruned(name: str) -> None:
    """Thumbnails, bins and archives being unpacked are never looked into."""
    assert SONGS.prunes(name)
    assert not SONGS.prunes("Album")


def test_user_patterns_match_name_and_path() -> None:
    """`ignore` works on names, on paths below the inbox, and on whole folders, in any case."""
    songs = Filter(["mp3"], ["*DEMO*", "drafts/*", "old/"])
    assert not songs.wanted("my demo.mp3", "my demo.mp3")
    assert not songs.wanted("a.mp3", "drafts/a.mp3")
    assert songs.wanted("a.mp3", "final/a.mp3")
    assert songs.prunes("old", "x/old")


@pytest.mark.parametrize(
    ("temp", "song"),
    [
        ("X.wav.part", "x.wav"),
        (".x.wav.part", "x.wav"),
        (".x.wav.AbC123", "x.wav"),
        (".x.wav.~1a2b", "x.wav"),
        (".syncthing.x.wav.tmp", "x.wav"),
        ("~syncthing~x.wav.tmp", "x.wav"),
        ("x.wav.!qB", "x.wav"),
        ("x.wav", None),
        ("._x.wav", None),
        (".part", None),
    ],
)
def test_temp_files_name_their_song(temp: str, song: str | None) -> None:
    """A temp file holds back the song that it will become."""
    assert holds_back(temp) == song


def test_every_looked_up_sibling_is_a_temp_file_of_the_song() -> None:
    """The single look-up and the scan agree on what a temp file is."""
    assert {holds_back(temp) for temp in temp_siblings("x.wav")} == {"x.wav"}
