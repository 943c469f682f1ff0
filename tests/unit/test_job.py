"""What can be made of a song that has its four stems already, and what it is known by."""

from __future__ import annotations

import pytest

from stemwatch.codes import SUBMIT, UNPACK, Code
from stemwatch.disks.space import needed_bytes, unpacked_bytes
from stemwatch.job import Options, content_key, options_at_hand

MIXES = {
    "backing": ("drums", "bass", "other", "guitar", "piano"),
    "melody": ("guitar", "other", "piano"),
    "rhythm": ("drums", "bass"),
    "band": ("bass", "guitar"),
    "keys": ("other", "piano"),
}


def test_of_six_stems_the_four_are_left_with_the_mixes_that_they_allow() -> None:
    """Guitar and piano are inside of `other`: a mix of all three has just that one."""
    made = options_at_hand(Options(6, "flac", MIXES))
    assert made == Options(
        4,
        "flac",
        {
            "backing": ("drums", "bass", "other"),
            "melody": ("other",),
            "rhythm": ("drums", "bass"),
        },
    )


@pytest.mark.parametrize("stems", [2, 4])
def test_fewer_stems_can_all_be_made(stems: int) -> None:
    options = Options(stems, "mp3", {"no vocals": ("drums", "bass")})
    assert options_at_hand(options) is options


def test_its_own_stems_are_none_that_were_separated() -> None:
    """Stems that were paid for, of the mix of a stem file, are not given out for its own."""
    keys = {
        content_key("a1", Options(), local=local, at_hand=at_hand)
        for local in (False, True)
        for at_hand in (False, True)
    }
    assert len(keys) == 3


def test_an_instrumental_needs_room_for_what_it_is_made_of() -> None:
    two = unpacked_bytes(60.0, 44_100, Options(2, "mp3"))
    assert two == needed_bytes(60.0, Options(2, "mp3")) + needed_bytes(60.0, Options(3, "wav"))
    four = unpacked_bytes(60.0, 96_000, Options(4))
    assert four == 2 * needed_bytes(60.0, Options(4))


def test_what_holds_paid_calls_back_does_not_hold_unpacking() -> None:
    held = {str(code) for code in Code if SUBMIT in code.rule.holds and UNPACK in code.rule.holds}
    assert held == {"disk", "room", "inbox", "journal", "internal", "audio_helper"}
