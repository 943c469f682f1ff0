"""Chooses what is sent of a song: the original, or a FLAC of it, and whether it must be that."""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.audio.preparing.lossless import fits_flac
from stemwatch.audio.results import Probe
from stemwatch.job import Job
from stemwatch.stemsplit.interface import TooLarge
from stemwatch.workers.context import Context

_SMALL = 1_000_000  # bytes: such a file is uploaded before it would be encoded
_WORTH = 0.9  # of the original: a FLAC that is larger saves too little
_HEADERS = 1 << 20  # bytes
_USUAL = 0.65  # of the original: what a loud song has as FLAC
_LOW = 192_000  # bits a second: an MP3 of fewer is one of a low bitrate
_OF_LOW = 0.42  # of its 16-bit samples: what such an MP3 has as FLAC


@dataclass(frozen=True, slots=True)
class Choice:
    """A FLAC is to be made, of which at most `most` bytes become, and `likely` about so many.

    It is sent up to `limit` bytes. `needed`: the API does not take the original instead. `exact`:
    the FLAC has to hold the original's very samples.
    """

    most: int
    likely: int
    limit: int
    needed: bool = False
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Wishes:
    """What may be done, by the keys of `prepare`. `near`: the upload stays on this machine."""

    original: bool
    low_as_flac: bool
    near: bool


def choice(ctx: Context, job: Job, too_large: TooLarge | None = None) -> Choice | None:
    """None: the original is sent. Raises Reject where the API takes no form of the song.

    `too_large`: the API has just refused the original.
    """
    size, limits, keys = job.identity.size, ctx.api.limits, ctx.preparing
    original = keys.upload == "original"
    if job.idempotency_key is not None and job.uploaded_codec is not None:
        original = job.uploaded_codec == job.codec  # as under this key before: see `form`
    refused = limits.of_file(size, smaller=fits_flac(job.codec), original=original)
    if refused is not None:  # it was queued under another configuration
        raise refused
    if job.duration is None or job.codec is None:
        return None
    limit = limits.largest if too_large is None else too_large.limit
    sound = Probe(job.duration, job.codec, job.sample_rate or 0, job.channels or 0)
    return planned(sound, size, limit, Wishes(original, keys.low_bitrate == "flac", ctx.local))


def planned(sound: Probe, size: int, limit: int, wishes: Wishes) -> Choice | None:
    """The choice for a song of `size` bytes where the API takes `limit`; None: the original."""
    if wishes.original:
        return None
    if fits_flac(sound.codec):
        likely, most = int(size * _USUAL), size + _HEADERS
        if size > limit:
            return Choice(most, likely, limit, needed=True)
        if wishes.near or size < _SMALL:
            return None
        return Choice(most, likely, int(size * _WORTH))
    if wishes.low_as_flac and _is_low(sound, size):
        samples = int(sound.duration * sound.sample_rate * sound.channels) * 2
        return Choice(samples + _HEADERS, int(samples * _OF_LOW), limit, exact=False)
    return None


def _is_low(sound: Probe, size: int) -> bool:
    return sound.codec.startswith("mp3") and size * 8 < _LOW * sound.duration
