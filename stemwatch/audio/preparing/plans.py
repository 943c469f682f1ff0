"""Decides in which form a song is sent: as it is, or as a FLAC, and of which kind. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stemwatch.audio.preparing.lossless import fits_flac, is_lossless
from stemwatch.audio.results import Probe
from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.limits import Limits
from stemwatch.song_kinds import is_taken

Form = Literal["original", "lossless", "converted"]

_WORTH = 0.9  # of the original: a FLAC that is larger saves too little
_SMALL = 1_000_000  # bytes: such a file is uploaded before it would be encoded
_HEADERS = 1 << 20  # bytes
_USUAL = 0.65  # of its samples: what a loud song has as FLAC
_HOPELESS = 4  # times the limit: no sound packs so much better than expected
_LOW = 192_000  # bits a second: an MP3 of fewer is one of a low bitrate
_OF_LOW = 0.42  # of its 16-bit samples: what such an MP3 has as FLAC
_WIDE_PCM = frozenset({"pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le"})
_NARROW = frozenset({"mp2", "mp3", "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "adpcm_ms"})


@dataclass(frozen=True, slots=True)
class Plan:
    """`form`, and about how many bytes are uploaded: `likely`, and `most` that a FLAC may need.

    A FLAC is sent up to `limit` bytes. `needed`: the API does not take the original instead.
    `exact`: the FLAC has to hold the original's very samples, or the original is sent.
    """

    form: Form
    likely: int
    most: int
    limit: int
    needed: bool = False
    exact: bool = False


def plan(
    sound: Probe,
    name: str,
    size: int,
    limit: int,
    *,
    upload: str = "auto",
    low_bitrate: str = "send",
    near: bool = False,
) -> Plan:
    """The plan for a song of this name and `size` bytes where the API takes `limit` bytes.

    `upload` and `low_bitrate` are the keys of `prepare`. What the API does not take is converted
    even with `upload: original`, since nothing else could be sent. `near`: the upload stays on
    this machine, so that nothing is gained by fewer bytes.
    """
    as_it_is = Plan("original", size, size, limit)
    likely, most = _flac_bytes(sound)
    lossless = is_lossless(sound.codec)
    if not is_taken(name):
        exact = fits_flac(sound.codec)
        form: Form = "lossless" if lossless else "converted"
        return Plan(form, likely, most, limit, needed=True, exact=exact)
    if upload == "original":
        return as_it_is
    if is_made_flac(sound.codec):
        if size > limit:
            wide = sound.codec in _WIDE_PCM
            form = "converted" if wide else "lossless"
            return Plan(form, likely, most, limit, needed=True, exact=not wide)
        if near or size < _SMALL:
            return as_it_is
        return Plan("lossless", likely, most, int(size * _WORTH), exact=True)
    worth = not near and _SMALL <= size <= limit  # its FLAC would be larger still
    if low_bitrate == "flac" and worth and _is_low(sound, size):
        return Plan("converted", int(most * _OF_LOW), most, limit)
    return as_it_is


def is_made_flac(codec: str | None) -> bool:
    """Whether a FLAC is made of a song that the API takes, were it not for its size."""
    return fits_flac(codec) or codec in _WIDE_PCM


def refusal(chosen: Plan, sound: Probe, size: int, limits: Limits) -> Reject | None:
    """Why the API takes nothing that may be sent of a song of `size` bytes; None: it may.

    Whether it takes a FLAC is known once that is made. One that is sure to be too large would be
    made for nothing, and its room on the disk be waited for.
    """
    if chosen.form == "original":
        return limits.of_file(size, unprepared=is_made_flac(sound.codec))
    # What another lossless codec made of it is as large as its FLAC will be.
    expected = min(chosen.likely, size) if is_lossless(sound.codec) else chosen.likely
    if not chosen.needed or expected <= _HOPELESS * chosen.limit:
        return None
    return Reject(
        f"it would have about {expected / 2**20:.0f} MB as FLAC; files of up to "
        f"{chosen.limit / 2**20:.0f} MB are taken.",
        code=Code.TOO_LARGE,
        hint="Convert it to MP3 or M4A, or cut it into parts.",
    )


def _flac_bytes(sound: Probe) -> tuple[int, int]:
    """About how many bytes a FLAC of it has, and how many at most."""
    width = 2 if sound.codec in _NARROW else 3
    samples = int(sound.duration * sound.sample_rate * sound.channels) * width
    return int(samples * _USUAL), samples + samples // 100 + _HEADERS


def _is_low(sound: Probe, size: int) -> bool:
    return sound.codec.startswith("mp3") and size * 8 < _LOW * sound.duration
