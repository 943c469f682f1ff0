"""In which form a song is sent."""

from __future__ import annotations

import pytest

from stemwatch.audio.preparing.plans import Form, plan, refusal
from stemwatch.audio.results import Probe
from stemwatch.limits import Limits

MB = 1_000_000
LIMIT = 100 * MB


def song(codec: str, seconds: float = 240.0) -> Probe:
    return Probe(seconds, codec, 44_100, 2)


@pytest.mark.parametrize(
    ("name", "codec", "size", "form", "needed", "exact"),
    [
        ("a.wav", "pcm_s16le", 40 * MB, "lossless", False, True),
        ("a.wav", "pcm_s16le", MB // 2, "original", False, False),
        ("a.wav", "pcm_s24le", 160 * MB, "lossless", True, True),
        ("a.wav", "pcm_f32le", 80 * MB, "lossless", False, True),  # or the original, if it isn't
        ("a.wav", "pcm_f32le", 160 * MB, "converted", True, False),
        ("a.aiff", "pcm_s16be", MB // 2, "lossless", True, True),
        ("a.aiff", "pcm_f32be", 40 * MB, "lossless", True, False),
        ("a.wv", "wavpack", 30 * MB, "lossless", True, False),
        ("a.flac", "flac", 30 * MB, "original", False, False),
        ("a.m4a", "alac", 30 * MB, "original", False, False),
        ("a.mp3", "mp3", 3 * MB, "original", False, False),
        ("A.OPUS", "opus", 3 * MB, "converted", True, False),
        ("a.mp4", "aac", 300 * MB, "converted", True, False),
        ("noname", "mp3", 3 * MB, "converted", True, False),
    ],
)
def test_the_form_of_a_song(
    name: str, codec: str, size: int, form: Form, needed: bool, exact: bool
) -> None:
    found = plan(song(codec), name, size, LIMIT)
    assert (found.form, found.needed, found.exact) == (form, needed, exact)
    assert found.likely <= found.most


@pytest.mark.parametrize(
    ("name", "codec", "upload", "mends"),
    [
        ("a.flac", "flac", "auto", False),
        ("a.flac", "flac", "original", False),
        ("a.m4a", "alac", "auto", False),
        ("a.wav", "pcm_u8", "auto", False),
        ("a.wav", "pcm_s16le", "original", True),
        ("a.wav", "pcm_f32le", "original", True),
    ],
)
def test_preparing_is_named_only_where_it_would_help(
    name: str, codec: str, upload: str, mends: bool
) -> None:
    """And nobody is told to make a FLAC of a FLAC."""
    size = 160 * MB
    chosen = plan(song(codec), name, size, LIMIT, upload=upload)
    refused = refusal(chosen, song(codec), size, Limits(largest=LIMIT))
    assert refused is not None
    assert ("prepare.upload" in refused.hint) is mends
    assert "to FLAC" not in refused.hint


@pytest.mark.parametrize(
    ("name", "codec", "seconds", "size", "words"),
    [
        ("a.mkv", "aac", 4 * 3600.0, 300 * MB, "about 2362 MB as FLAC; files of up to 95 MB"),
        ("a.mkv", "aac", 1200.0, 300 * MB, None),  # about twice the limit: tried
        ("a.wav", "pcm_f32le", 4 * 3600.0, 5000 * MB, "as FLAC"),
        ("a.wv", "wavpack", 4 * 3600.0, 90 * MB, None),  # quiet: it is as small as FLAC
        ("a.wv", "wavpack", 4 * 3600.0, 900 * MB, "about 858 MB as FLAC"),
    ],
)
def test_a_flac_that_is_sure_to_be_too_large_is_not_made(
    name: str, codec: str, seconds: float, size: int, words: str | None
) -> None:
    """It would take its turn at the encoder, and hold up its inbox for the room that it needs."""
    sound = song(codec, seconds)
    refused = refusal(plan(sound, name, size, LIMIT), sound, size, Limits(largest=LIMIT))
    assert (refused and refused.code) == (words and "too_large")
    assert refused is None or (words or "") in refused.message


def test_a_flac_has_to_save_a_tenth_where_the_original_may_go() -> None:
    assert plan(song("pcm_s16le"), "a.wav", 40 * MB, LIMIT).limit == 36 * MB
    assert plan(song("pcm_s24le"), "a.wav", 160 * MB, LIMIT).limit == LIMIT


def test_originals_go_where_that_is_asked_for_and_the_api_takes_them() -> None:
    wav = plan(song("pcm_s16le"), "a.wav", 40 * MB, LIMIT, upload="original")
    opus = plan(song("opus"), "a.opus", 4 * MB, LIMIT, upload="original")
    assert (wav.form, opus.form) == ("original", "converted")


def test_fewer_bytes_gain_nothing_on_this_machine() -> None:
    assert plan(song("pcm_s16le"), "a.wav", 40 * MB, LIMIT, near=True).form == "original"
    assert plan(song("opus"), "a.opus", 4 * MB, LIMIT, near=True).form == "converted"


def test_a_low_bitrate_is_decoded_only_where_that_is_asked_for() -> None:
    size = 240 * 128_000 // 8
    assert plan(song("mp3"), "a.mp3", size, LIMIT, low_bitrate="flac").form == "converted"
    assert plan(song("mp3"), "a.mp3", 2 * size, LIMIT, low_bitrate="flac").form == "original"


def test_a_low_bitrate_goes_as_it_is_where_its_flac_gains_nothing() -> None:
    """On this machine, and below a megabyte, which is sent before it would be encoded."""
    far, near = (
        plan(song("mp3"), "a.mp3", 3 * MB, LIMIT, low_bitrate="flac", near=near)
        for near in (False, True)
    )
    short, long = (
        plan(song("mp3", seconds), "a.mp3", size, LIMIT, low_bitrate="flac")
        for seconds, size in ((60.0, MB - 1), (70.0, MB))
    )
    assert [one.form for one in (far, near, short, long)] == [
        "converted", "original", "original", "converted"
    ]  # fmt: skip


def test_a_low_bitrate_that_is_too_large_is_refused_before_its_flac_is_made() -> None:
    """That would be larger still."""
    sound, size = song("mp3", 7200.0), 115 * MB
    chosen = plan(sound, "a.mp3", size, LIMIT, low_bitrate="flac")
    refused = refusal(chosen, sound, size, Limits(largest=LIMIT))
    assert refused is not None
    assert refused.code == "too_large"
