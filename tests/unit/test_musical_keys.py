"""Musical keys against the Camelot wheel, and Open Key beside it."""

from __future__ import annotations

import pytest

from stemwatch.musical_keys import parse_key, parse_own_key, tag_key

MINOR = ["G#m", "D#m", "A#m", "Fm", "Cm", "Gm", "Dm", "Am", "Em", "Bm", "F#m", "C#m"]
MAJOR = ["B", "F#", "C#", "G#", "D#", "A#", "F", "C", "G", "D", "A", "E"]


@pytest.mark.parametrize("number", range(1, 13))
def test_camelot_and_open_key_follow_the_table(number: int) -> None:
    """All 24 keys, and Open Key is ((n+4) mod 12)+1."""
    minor, major = parse_key(MINOR[number - 1]), parse_key(MAJOR[number - 1])
    assert minor is not None
    assert major is not None
    opened = (number + 4) % 12 + 1
    assert (minor["camelot"], minor["open_key"]) == (f"{number}A", f"{opened}m")
    assert (major["camelot"], major["open_key"]) == (f"{number}B", f"{opened}d")


def test_the_example_of_the_sidecar_s_page() -> None:
    """ "C# minor" as docs/sidecar.md shows it."""
    assert parse_key("C# minor") == {
        "raw": "C# minor",
        "tonic": "C#",
        "mode": "minor",
        "camelot": "12A",
        "open_key": "5m",
    }


@pytest.mark.parametrize(
    ("raw", "tag", "camelot"),
    [
        ("C#m", "C#m", "12A"),
        ("Gm", "Gm", "6A"),
        ("C#", "C#", "3B"),
        ("Bb major", "Bb", "6B"),
        ("F♯ min", "F#m", "11A"),
        ("a minor", "Am", "8A"),
        ("b minor", "Bm", "10A"),
        ("bb minor", "Bbm", "3A"),
        ("Cmaj", "C", "8B"),
        ("CM", "C", "8B"),
        ("E♭ MAJOR", "Eb", "5B"),
        ("G-sharp minor", "G#m", "1A"),
        ("D flat", "Db", "3B"),
        ("Cb", "Cb", "1B"),
        ("  d_minor ", "Dm", "7A"),
    ],
)
def test_every_usual_spelling_is_understood(raw: str, tag: str, camelot: str) -> None:
    """Letters, signs and words as servers write them; the tag has three characters at most."""
    key = parse_key(raw)
    assert key is not None
    assert (tag_key(key), key["camelot"], key["raw"]) == (tag, camelot, raw)


@pytest.mark.parametrize("raw", ["", "unknown", "H minor", "C dorian", "C##", "8A", "C" * 500])
def test_what_is_no_key_keeps_its_words_only(raw: str) -> None:
    """Raw stays (a hundred characters of it), the rest is null, and no tag is written."""
    key = parse_key(raw)
    assert key is not None
    assert key.pop("raw") == raw[:100]
    assert set(key.values()) == {None}
    assert tag_key(parse_key(raw)) is None


@pytest.mark.parametrize(
    ("raw", "tonic", "mode", "camelot"),
    [("Bbm", "Bb", "minor", "3A"), ("8A", "A", "minor", "8A"), ("06d", "B", "major", "1B")],
)
def test_a_songs_own_key_may_be_a_number(raw: str, tonic: str, mode: str, camelot: str) -> None:
    """As DJs' programs write it into tags; the sidecar has both forms."""
    key = parse_own_key(raw)
    assert key is not None
    assert (key["raw"], key["tonic"], key["mode"], key["camelot"]) == (raw, tonic, mode, camelot)


@pytest.mark.parametrize("raw", ["", "All", "13A", "C" * 500])
def test_a_songs_own_words_that_are_no_key_are_kept(raw: str) -> None:
    """As for the key of a server."""
    assert parse_own_key(raw) == parse_key(raw)
    assert parse_own_key(None) is None


def test_no_key_is_none() -> None:
    """Unknown is null, not an object of nulls."""
    assert parse_key(None) is None
    assert tag_key(None) is None
