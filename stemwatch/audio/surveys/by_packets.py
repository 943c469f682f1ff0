"""A survey by the packets that FFmpeg's demuxer gives: 1,000 x realtime and more."""

from __future__ import annotations

import math
from typing import Any

from stemwatch.audio.containers.chunks import samples_of
from stemwatch.audio.containers.ogg_pages import starts_whole
from stemwatch.audio.frames import Source
from stemwatch.audio.surveys.seen import EVERY, RUN, Survey

_SIZED = ("wav", "w64", "aiff")  # raw samples: their sizes tell all, reading 600 MB tells no more
# Streams of mere frames, whose length FFmpeg takes from the first bit rate.
_GUESSED = ("aac", "ac3", "amr", "dts", "eac3", "mp3")
_LONGEST_PACKET = 60.0  # seconds
_START_SLACK = 1.5  # seconds at an Ogg's start whose packets carry no time
_JUMP = 0.05  # seconds: Vorbis packets leave up to 0.01 between them


def by_packets(source: Source) -> Survey:
    """Read through, and decoded here and there."""
    seen, container = Survey(), source.container.format.name
    streamed = container in _SIZED and _is_streamed(source.path)
    sized = container in _SIZED and not streamed
    # Only Matroska has no length of each stream, but one of them all.
    film = container.startswith("matroska") and source.has_film()
    base = float(source.stream.time_base or 0)  # fractions are half the time of a probe
    began, shown, trusted = math.inf, 0.0, False
    for packet in source.demux(film=film):
        index = source.packets - 1
        trusted = sized and index >= RUN
        if not packet.size or trusted:
            break  # only the last one is empty
        if packet.pts is not None and began == math.inf:
            began = float(packet.pts * packet.time_base)
        if film and not source.is_own(packet):
            shown = _measure_film(seen, packet, shown)
            continue
        if index // RUN % EVERY == 0:
            _try_decoding(source, packet, after_jump=bool(index) and index % RUN == 0)
        _measure(seen, packet, base)
    seen.packets, seen.bad, seen.decoded = source.packets, source.bad_packets, source.samples
    if not streamed:
        seen.declared = _declared(source, container)
    if trusted and seen.declared is not None:
        seen.counted = seen.end = seen.declared
    _begin_late(seen, source, began if began < math.inf else 0.0)
    return seen


def _begin_late(seen: Survey, source: Source, began: float) -> None:
    """Sound cut out of a longer recording may keep its times: then it lasts no longer for that.

    Only an Ogg's pages prove that nothing is lost before its first packet.
    """
    if began <= _START_SLACK:
        return
    if source.container.format.name == "ogg" and seen.declared and _starts_whole(source.path):
        # Its packets' times may begin a little before what is played.
        late = max(began, float((source.stream.start_time or 0) * source.stream.time_base))
        seen.end, seen.declared = seen.end - late, seen.declared - late
    else:
        seen.holes += began


def _starts_whole(path: str) -> bool:
    with open(path, "rb") as file:
        return starts_whole(file)


def _measure_film(seen: Survey, packet: Any, before: float) -> float:
    """When this picture is shown. It stays as long as the one before, if nothing else is said."""
    shown = float((packet.pts or 0) * packet.time_base)
    stays = float((packet.duration or 0) * packet.time_base) or max(0.0, shown - before)
    seen.file_end = max(seen.file_end, shown + stays)
    return max(before, shown)


def _is_streamed(path: str) -> bool:
    with open(path, "rb") as file:
        samples = samples_of(file)
    return samples is not None and samples.said is None


def _try_decoding(source: Source, packet: Any, *, after_jump: bool) -> None:
    bad = source.bad_packets
    source.decode(packet)
    if after_jump:
        source.bad_packets = bad  # this one lacks what came before it; that is our doing


def _measure(seen: Survey, packet: Any, base: float) -> None:
    length = (packet.duration or 0) * base
    if length > _LONGEST_PACKET:
        return  # the last one of a badly cut Ogg "lasts" 27 hours: a negative length, unsigned
    if packet.pts is not None:
        at = packet.pts * base
        if at > seen.end + _JUMP and seen.counted:
            seen.holes += at - seen.end
        seen.end = max(seen.end, at + length)
    seen.counted += length


def _declared(source: Source, container: str) -> float | None:
    if container in _GUESSED:
        return None
    stream = source.stream
    if stream.duration is not None and stream.time_base:  # an unset one: None, or 0/1 in PyAV 19
        return float(stream.duration * stream.time_base)
    total = source.container.duration
    return total / 1_000_000 if total else None
