"""File names in a Content-Disposition header, and what messages show of a URL."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.errors import ConfigFault
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.line.multipart import safe_filename
from stemwatch.stemsplit.line.transport import place


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("song.mp3", "song.mp3"),
        ("Ünïcødé 🎵.flac", "Ünïcødé 🎵.flac"),
        ('a"b.wav', "a%22b.wav"),
        ("a\r\nContent-Type: x.wav", "a%0D%0AContent-Type: x.wav"),
        ("a\\b\0\x1b.wav", "a_b__.wav"),
        ("dir/song.wav", "song.wav"),
        (os.fsdecode(b"caf\xe9.ogg"), "caf\ufffd.ogg"),
        ("", "audio"),
    ],
)
def test_filenames(name: str, expected: str) -> None:
    """Names stay readable and can't break out of their header."""
    assert safe_filename(name) == expected


@given(st.binary(max_size=255))
def test_any_filename_is_one_quoted_utf8_string(name: bytes) -> None:
    """Whatever bytes a name has, the header line stays one line with one pair of quotes."""
    safe = safe_filename(os.fsdecode(name))
    assert safe.encode()
    assert not set(safe) & set('"\r\n\0\\/')


def test_places_have_no_query() -> None:
    """A signed URL's secret is in its query."""
    assert place("https://s.test:8443/a/b.wav?sig=secret#x") == "https://s.test:8443/a/b.wav"
    assert place("https://u:pw@s.test/a") == "https://s.test/a"
    assert place("https://[::1") == "an unreadable address"


@pytest.mark.parametrize("key", ["", "sk-secret\n", "sk secret", "sk-sécret", "sk\tsecret"])
def test_an_impossible_key_is_refused_without_showing_it(key: str) -> None:
    """httpx would print the key in its own error."""
    with pytest.raises(ConfigFault) as caught:
        Calls("http://127.0.0.1:1/v1", key)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "base",
    ["", "stemsplit.io", "ftp://x/v1", "https://u:p@x/v1", "https://x/v1?a=b", "https://[::1"],
)
def test_an_impossible_base_url_is_refused(base: str) -> None:
    """A wrong base is a configuration fault, found before anything is sent."""
    with pytest.raises(ConfigFault, match=r"api\.base_url"):
        Calls(base, None)
