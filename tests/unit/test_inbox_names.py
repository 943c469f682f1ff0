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
    "title", ["...And So It Goes", "..Hits", ".38 Band - Song", ".5", "....Baby One More Time"]
)
def test_leading_dots_of_a_title_hide_nothing(title: str) -> None:
    """Two or more, or one before a digit; as a file and as a folder."""
    assert SONGS.wanted(f"{title}.mp3")
    assert not SONGS.prunes(title)
    assert holds_back(f"{title}.mp3.part") == f"{title}.mp3".lower().removeprefix(".")
    assert not SONGS.wanted(f"{title}.mp3.part")


@pytest.mark.parametrize(
    ("temp", "song"),
    [
        (f"INCOMPLETE{'0a' * 16}Song.mp3", "song.mp3"),
        ("INCOMPLETE~Song.mp3", "song.mp3"),
        ("Clip.f140.m4a", "clip.m4a"),
        ("Clip.temp.mp3", "clip.mp3"),
        ("Song.mp3.!ut", "song.mp3"),
        ("Song.mp3.download", "song.mp3"),
    ],
)
def test_what_a_downloader_has_not_finished_is_no_song(temp: str, song: str) -> None:
    """Prefixes, and names that keep the extension; Safari's is a folder."""
    assert not SONGS.wanted(temp)
    assert holds_back(temp) == song
    assert SONGS.wanted("Incomplete Thoughts.mp3")
    assert SONGS.wanted("Mix f140.mp3")
    assert SONGS.prunes("Song.mp3.download")
    assert not SONGS.prunes("Free.download")


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
