"""Is it audio, is it whole, how long is it? Asked before any money is spent.

A full demux tells nearly everything at 1,000 x realtime and more; one packet in 32 is decoded
on the way. Only what looks damaged then is decoded in full, to count what is lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from stemwatch.audio.ends import has_length_header, missing_share
from stemwatch.audio.frames import Source
from stemwatch.audio.results import Probe
from stemwatch.codes import Code
from stemwatch.errors import Reject

# Decoders conceal a lost packet (20 to 100 ms) here and there; beyond one in a hundred the damage
# is heard, and heard again in every stem that was paid for.
BAD_SHARE = 0.01
_NOISE_SHARE = 0.5  # in 300 kB of noise a few "MP3 frames" are found by chance
SHORT_SHARE = 0.02  # encoder delay and rounded headers stay well below this
_RUN, _EVERY = 8, 32  # of every 32 runs of 8 packets one is decoded: a hole of 7 s is met
_SIZED = ("wav", "w64", "aiff")  # raw samples: their sizes tell all, reading 600 MB tells no more
_GUESSED = ("aac",)  # raw ADTS: FFmpeg guesses its duration from the first bit rate
_LONGEST_MP3_FRAME = 1_441  # bytes; the parser hands over skipped garbage as part of a longer one
_LONGEST_PACKET = 60.0  # seconds
_START_SLACK = 1.5  # seconds at an Ogg's start whose packets carry no duration


@dataclass(slots=True)
class _Survey:
    """What a demux found; times in seconds."""

    declared: float | None = None
    counted: float = 0.0  # the sum of the packets' durations
    end: float = 0.0  # where the last packet ends
    packets: int = 0
    bad: int = 0  # packets that don't decode
    skipped: float = 0.0  # packets that an MP3's garbage stands for
    decoded: int = 0  # samples


def probe(path: str, kind: str | None = None) -> Probe:
    """What this file is and how long it plays; `kind` where that is known of it (`wav`).

    Raises Reject: `not_audio`, `no_audio_stream`, `truncated` (more than 2 % shorter than declared)
    or `corrupt` (more than 1 % of the packets don't decode); OSError where it can't be read.
    """
    with Source(path, kind) as source:
        container = source.container.format.name
        codec = source.stream.codec_context.codec.canonical_name
        survey = _survey(source, container)
    if _suspicious(survey):
        survey = _decode_all(path, survey)
    lost = survey.bad + survey.skipped
    share = lost / max(1.0, survey.packets + survey.skipped)
    if not survey.decoded or share > _NOISE_SHARE:
        raise _reject(path, Code.NOT_AUDIO, "is no audio file: next to nothing in it decodes")
    if lost > 1 and share > BAD_SHARE:
        raise _reject(path, Code.CORRUPT, f"is damaged: {share:.1%} of it can't be decoded")
    _refuse_truncated(path, container, survey)
    return Probe(
        duration=round(_length(survey), 6),
        codec=codec,
        sample_rate=source.sample_rate,
        channels=source.channels,
        bad_packets=round(lost),
    )


def _survey(source: Source, container: str) -> _Survey:
    survey, size, garbage, first = _Survey(), 0, 0, -1
    sized = container in _SIZED
    base = float(source.stream.time_base or 0)  # fractions are half the time of a probe
    for index, packet in enumerate(source.demux()):
        if not packet.size or (sized and index >= _RUN):
            break  # only the last one is empty
        if index // _RUN % _EVERY == 0:
            _try_decoding(source, packet, after_jump=bool(index) and index % _RUN == 0)
        _measure(survey, packet, base)
        size += packet.size
        garbage += packet.size if packet.size > _LONGEST_MP3_FRAME else 0
        first = (packet.pos or 0) if first < 0 else first
    survey.packets, survey.bad, survey.decoded = source.packets, source.bad_packets, source.samples
    if container == "mp3" and garbage:
        survey.skipped = garbage * source.packets / size
    survey.declared = _declared(source, container, first)
    if sized and survey.declared is not None:
        survey.counted = survey.end = survey.declared
    return survey


def _try_decoding(source: Source, packet: Any, *, after_jump: bool) -> None:
    bad = source.bad_packets
    source.decode(packet)
    if after_jump:
        source.bad_packets = bad  # this one lacks what came before it; that is our doing


def _measure(survey: _Survey, packet: Any, base: float) -> None:
    length = (packet.duration or 0) * base
    if length > _LONGEST_PACKET:
        return  # the last one of a badly cut Ogg "lasts" 27 hours: a negative length, unsigned
    survey.counted += length
    if packet.pts is not None:
        survey.end = max(survey.end, packet.pts * base + length)


def _declared(source: Source, container: str, first_packet: int) -> float | None:
    if container in _GUESSED:
        return None
    if container == "mp3" and not has_length_header(source.path, first_packet):
        return None
    stream = source.stream
    if stream.duration is not None and stream.time_base:  # an unset one: None, or 0/1 in PyAV 19
        return float(stream.duration * stream.time_base)
    total = source.container.duration
    return total / 1_000_000 if total else None


def _suspicious(survey: _Survey) -> bool:
    if survey.bad or survey.skipped or not survey.decoded:
        return True
    return _gap(survey) > SHORT_SHARE or _short(survey) > SHORT_SHARE


def _gap(survey: _Survey) -> float:
    """The share of its time for which it has no packets: the clock jumps over a hole."""
    return 1 - (survey.counted + _START_SLACK) / survey.end if survey.end else 0.0


def _decode_all(path: str, survey: _Survey) -> _Survey:
    """The same survey with everything decoded: what plays is what counts."""
    with Source(path) as source:
        seconds = sum(frame.samples / frame.sample_rate for frame in source.frames())
        survey.packets, survey.bad = max(1, source.packets), source.bad_packets
        survey.decoded = source.samples
    survey.counted = survey.end = seconds
    return survey


def _length(survey: _Survey) -> float:
    """Declared lengths leave out the encoder's delay, so they are taken where they agree."""
    if survey.declared and abs(_short(survey)) <= SHORT_SHARE:
        return survey.declared
    return max(survey.counted, survey.end)


def _short(survey: _Survey) -> float:
    if not survey.declared:
        return 0.0
    return 1 - max(survey.counted, survey.end) / survey.declared


def _refuse_truncated(path: str, container: str, survey: _Survey) -> None:
    missing = missing_share(path, container)
    if container == "ogg" and missing:
        raise _reject(path, Code.TRUNCATED, "stops before its end-of-stream mark")
    missing = max(missing, _short(survey))
    if missing > SHORT_SHARE:
        raise _reject(
            path, Code.TRUNCATED, f"is incomplete: {100 * missing:.0f} % of it is missing"
        )


def _reject(path: str, code: str, what: str) -> Reject:
    return Reject(
        f"{os.path.basename(path)!r} {what}.",
        code=code,
        hint="Copy or download it again, or re-save it in an audio editor, and drop that file.",
    )
