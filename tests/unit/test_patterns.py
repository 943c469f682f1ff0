"""Names of results by a pattern: what is a pattern, and what becomes of any tag in one."""

from __future__ import annotations

import itertools
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwatch import config, patterns
from stemwatch.errors import ConfigFault
from stemwatch.outbox import naming
from stemwatch.outbox.naming import StemNames

SHA = "1a2b3c4d" + "0" * 56
TAG = st.text(max_size=300)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{artits} - {title}", "did you mean {artist}?"),
        ("{zzzzzz}", "there are {name}, {artist}"),
        ("{artist", "is no pattern"),
        ("{artist}/{title}", "'/' can't stand in a name"),
        ("{artist:>10}", "takes nothing behind its name"),
        ("{artist!r}", "takes nothing behind its name"),
        ("{artist.__class__}", "there is no field {artist.__class__}"),
        ("{}", "there is no field {}"),
        ("Song", "names no field"),
        ("", "names no field"),
        ("{name}\n", "can't stand in a name"),
    ],
)
def test_what_is_no_pattern_is_a_fault_of_its_key(tmp_path: Path, pattern: str, told: str) -> None:
    """With the key, its line and the nearest field."""
    with pytest.raises(ConfigFault) as fault:
        _load(tmp_path, name=pattern)
    assert "outbox.name" in str(fault.value)
    assert told in str(fault.value)


def test_stems_must_differ_by_their_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigFault, match=r"outbox.stem_name.*has no \{stem\}"):
        _load(tmp_path, stem_name="{song}")
    assert _load(tmp_path, stem_name="{stem} {{{bpm}}}").outbox.stem_name == "{stem} {{{bpm}}}"


def test_the_names_for_ultrastar_are_a_pattern() -> None:
    """As docs/configuration.md gives it."""
    song = patterns.fill("{artist} - {title}", {"artist": "Nina", "title": "99"})
    assert song is not None
    by = StemNames("{song} [{stem}]")
    assert naming.names_of_stems(song, ["vocals", "instrumental"], "mp3", by=by) == [
        "Nina - 99 [Vocals].mp3",
        "Nina - 99 [Instrumental].mp3",
    ]


def test_an_inbox_takes_what_it_does_not_say_from_the_top_level(
    tmp_path: Path,
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "outbox: {name: '{title}', stem_name: '{stem}'}\n"
        "inboxes: {a: {outbox: {name: '{artist}'}}, b: {}}\n"
    )
    found = config.load(os.fspath(path), env={"HOME": "/home/x"})
    names = {inbox.name: tuple(inbox.outbox.names) for inbox in found.every_inbox}
    assert names == {"a": ("{artist}", "{stem}"), "b": ("{title}", "{stem}")}


def _load(tmp_path: Path, **keys: str) -> config.Settings:
    path = tmp_path / "c.yaml"
    lines = "".join(f"  {key}: {pattern!r}\n" for key, pattern in keys.items())
    path.write_text(f"outbox:\n{lines}")
    return config.load(os.fspath(path), env={"HOME": "/home/x"})


@settings(deadline=None)
@given(TAG, TAG, st.sampled_from(["{artist} - {title}", "{title}.", ".{title}", "{title}{artist}"]))
def test_every_tag_makes_a_safe_folder(artist: str, title: str, pattern: str) -> None:
    """Or none, where a tag is missing: half a pattern is never filled in."""
    given_name = patterns.fill(pattern, {"artist": artist, "title": title})
    missing = not title.split() or ("{artist}" in pattern and not artist.split())
    assert (given_name is None) == missing
    song = naming.folder_name(given_name or "name")
    assert _is_safe(song)
    for folder in itertools.islice(naming.candidates(song, SHA), 0, 101, 50):
        assert len(naming.sidecar_file(folder).encode()) <= 255


@settings(deadline=None)
@given(
    TAG,
    st.lists(st.text(min_size=1, max_size=80), max_size=4, unique=True),
    st.sampled_from(
        ["{stem}", "{title} {stem}", "{song} - {stem} - {bpm}", ".{stem}.", "{stem}CON"]
    ),
    st.sampled_from([255, 143]),
)
def test_every_stem_has_a_safe_file_of_its_own(
    title: str, mixes: list[str], pattern: str, limit: int
) -> None:
    """Whatever the tags and the mixes are called, and however short the names have to be."""
    song = naming.fit_song(naming.folder_name(title), limit=limit)
    by = StemNames(pattern, {"title": title, "bpm": "120"})
    folder = f"{song} [1a2b3c4d-99]"
    ids = ["vocals", "instrumental", *mixes]
    files = naming.names_of_stems(folder, ids, "flac", by=by, limit=limit)
    assert len({naming.fold(file) for file in files}) == len(ids)
    for file in files:
        assert _is_safe(file)
        assert file.endswith(".flac")
        assert len(file.encode()) <= limit


def test_the_default_patterns_name_as_ever() -> None:
    """Nothing changes for those who say nothing."""
    song = naming.folder_name(patterns.fill(patterns.NAME, {"name": "a: song"}) or "")
    assert song == naming.song_name("a: song.mp3")
    values = {"song": song, "stem": "Vocals"}
    assert f"{patterns.fill(patterns.STEM_NAME, values)}.wav" == naming.name_of_stem(
        song, "vocals", "wav"
    )


def test_a_file_may_be_called_by_tempo_and_key() -> None:
    by = StemNames("{stem} {camelot} {bpm}", {"camelot": "12A", "bpm": "124"})
    assert naming.names_of_stems("Song", ["vocals", "no_drums"], "wav", by=by) == [
        "Vocals 12A 124.wav",
        "No Drums 12A 124.wav",
    ]
    unknown = StemNames(by.pattern, {"bpm": "124"})
    assert naming.names_of_stems("Song", ["vocals"], "wav", by=unknown) == ["Song (Vocals).wav"]


def _is_safe(name: str) -> bool:
    return (
        bool(name)
        and name[0] not in ". "
        and name[-1] not in ". "
        and not set(name) & set('<>:"/\\|?*\0\n\r\t')
        and unicodedata.is_normalized("NFC", name)
        and len(name.encode()) <= 255
    )
