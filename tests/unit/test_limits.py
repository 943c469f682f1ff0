"""What a separation takes, wire by wire, as far as it is known before anything is sent."""

from __future__ import annotations

import pytest

from stemwatch.limits import Limits
from stemwatch.stemsplit.wires import LIMITS, PRESIGNED, SEPARATE

MB = 1024 * 1024


@pytest.mark.parametrize(
    ("wire", "seconds", "code"),
    [
        (SEPARATE, 1 / 44100, "too_short"),
        (SEPARATE, 0.999, "too_short"),
        (SEPARATE, 1.0, None),
        (SEPARATE, 7200.0, None),  # nothing is documented
        (PRESIGNED, 0.5, "too_short"),
        (PRESIGNED, 4.99, "too_short"),
        (PRESIGNED, 5.0, None),
        (PRESIGNED, 3600.5, None),  # a header's rounding
        (PRESIGNED, 3602.0, "too_long"),
    ],
)
def test_songs_of_each_wire(wire: str, seconds: float, code: str | None) -> None:
    """Below a second there is nothing to separate; the rest is what the wire documents."""
    fault = LIMITS[wire].of_audio(seconds)
    assert (fault and fault.code) == code


def test_files_of_each_wire() -> None:
    """Wire A takes 100 MB; of wire B the ticket tells, and a WAV may still go as FLAC."""
    assert LIMITS[SEPARATE].of_file(100 * MB) is None
    fault = LIMITS[SEPARATE].of_file(101 * MB)
    assert fault is not None
    assert fault.message == "it has 101.0 MB; files of up to 100 MB are taken."
    assert LIMITS[PRESIGNED].of_file(101 * MB) is None


def test_the_words_say_what_is_taken() -> None:
    """The song's length, the limit, and what helps: with `--local` a second is enough."""
    short = Limits(shortest=5.0).of_audio(2.5)
    least = Limits().of_audio(0.25)
    long = Limits(longest=3600.0).of_audio(4000.0)
    assert short is not None
    assert least is not None
    assert long is not None
    assert short.message == "it lasts 2.500 s; only songs of 5 s and more are taken."
    assert "--local" in short.hint
    assert "--local" not in least.hint
    assert long.message == "it lasts 66.7 minutes; songs of up to 60 minutes are taken."
