"""What is found in a file: how long it says it is, how long it plays, how much of it is lost.

A demux tells nearly everything at 1,000 x realtime and more; an MP3's frames are walked through.
One packet in 32 is decoded on the way. Only what looks damaged then is decoded in full.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import av

from stemwatch.audio.containers.chunks import samples_of
from stemwatch.audio.containers.mpeg_frames import Frames, frames_of
from stemwatch.audio.containers.ogg_pages import starts_whole
from stemwatch.audio.frames import Source

SHORT_SHARE = 0.02  # encoder delay and rounded headers stay well below this
_RUN, _EVERY = 8, 32  # of every 32 runs of 8 packets one is decoded: a hole of 7 s is met
_SIZED = ("wav", "w64", "aiff")  # raw samples: their sizes tell all, reading 600 MB tells no more
_GUESSED = ("aac", "mp3")  # from the first bit rate, in a stream of mere frames
_LONGEST_PACKET = 60.0  # seconds
_START_SLACK = 1.5  # seconds at an Ogg's start whose packets carry no time
_JUMP = 0.05  # seconds: Vorbis packets leave up to 0.01 between them


@dataclass(slots=True)
class Survey:
    """Times in seconds, from where the sound begins."""

    declared: float | None = None  # by the sound's own header, or the file's
    counted: float = 0.0  # the sum of the packets' durations
    end: float = 0.0  # where the last packet ends
    holes: float = 0.0  # what the clock jumps over
    file_end: float = 0.0  # where the last packet of any stream does: a film may outlast its sound
    last_picture: float = 0.0
    packets: int = 0
    bad: int = 0  # packets that don't decode
    skipped: float = 0.0  # packets that an MP3's garbage stands for
    decoded: int = 0  # samples

    @property
    def plays(self) -> float:
        return max(self.counted, self.end)

    @property
    def short(self) -> float:
        """The share of the declared time that is not there; negative if there is more."""
        return 1 - max(self.plays, self.file_end) / self.declared if self.declared else 0.0

    @property
    def suspicious(self) -> bool:
        """Whether it has to be decoded in full."""
        hollow = self.holes > SHORT_SHARE * self.end
        return bool(self.bad or self.skipped or hollow or not self.decoded) or (
            self.short > SHORT_SHARE
        )


def survey(source: Source) -> Survey:
    """Of the whole file, read through and decoded here and there, or everywhere if need be."""
    if source.container.format.name == "mp3" and (found := frames_of(source.path)).starts:
        return _of_frames(source, found)
    seen = _of_packets(source)
    return _decode_all(source, seen) if seen.suspicious else seen


def _of_frames(source: Source, found: Frames) -> Survey:
    count = len(found.starts)
    seen = Survey(counted=found.seconds, end=found.seconds, packets=count)
    lost: float = found.between + found.around
    if found.told and found.told.frames:
        seen.declared = found.told.seconds
        seen.counted = seen.end = max(0.0, found.seconds - found.told.padding)
        # All are there: then what lies around them is no sound that is lost.
        missing = (found.told.frames - count) * sum(found.sizes) / count
        lost = found.between + min(found.around, max(0.0, missing))
    seen.skipped = lost * count / sum(found.sizes)
    _decode(source, seen, found, _sampled(count))
    if seen.suspicious:
        _decode(source, seen, found, range(count))
    return seen


def _sampled(count: int) -> Iterator[int]:
    return (start + i for start in range(0, count, _RUN * _EVERY) for i in range(_RUN))


def _decode(source: Source, seen: Survey, found: Frames, wanted: Iterable[int]) -> None:
    """Decode these frames; one behind a jump lacks what came before it, and is never bad."""
    decoder, before = source.stream.codec_context, -1
    decoder.flush_buffers()
    seen.bad = seen.decoded = 0
    with open(source.path, "rb") as file:
        for index in wanted:
            if index >= len(found.starts):
                break
            file.seek(found.starts[index])
            try:
                frames = decoder.decode(av.Packet(file.read(found.sizes[index])))
                seen.decoded += sum(frame.samples for frame in frames)
            except (av.FFmpegError, ValueError):
                seen.bad += before == index - 1
            before = index


def _of_packets(source: Source) -> Survey:
    seen, container = Survey(), source.container.format.name
    streamed = container in _SIZED and _is_streamed(source.path)
    sized = container in _SIZED and not streamed
    # Only Matroska has no length of each stream, but one of them all.
    film = container.startswith("matroska") and source.has_film()
    base = float(source.stream.time_base or 0)  # fractions are half the time of a probe
    began = math.inf
    for packet in source.demux(film=film):
        index = source.packets - 1
        if not packet.size or (sized and index >= _RUN):
            break  # only the last one is empty
        if packet.pts is not None and began == math.inf:
            began = float(packet.pts * packet.time_base)
        if film and not source.is_own(packet):
            _measure_film(seen, packet)
            continue
        if index // _RUN % _EVERY == 0:
            _try_decoding(source, packet, after_jump=bool(index) and index % _RUN == 0)
        _measure(seen, packet, base)
    seen.packets, seen.bad, seen.decoded = source.packets, source.bad_packets, source.samples
    if not streamed:
        seen.declared = _declared(source, container)
    if sized and seen.declared is not None:
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
        late = max(began, float(source.stream.start_time * source.stream.time_base))
        seen.end, seen.declared = seen.end - late, seen.declared - late
    else:
        seen.holes += began


def _starts_whole(path: str) -> bool:
    with open(path, "rb") as file:
        return starts_whole(file)


def _measure_film(seen: Survey, packet: Any) -> None:
    """The last picture stays for as long as the one before it, where nothing else is said."""
    shown = float((packet.pts or 0) * packet.time_base)
    stays = float((packet.duration or 0) * packet.time_base) or max(0.0, shown - seen.last_picture)
    seen.file_end = max(seen.file_end, shown + stays)
    seen.last_picture = max(seen.last_picture, shown)


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


def _decode_all(source: Source, seen: Survey) -> Survey:
    """The same survey with everything decoded: what plays is what counts."""
    with Source(source.path) as again:
        seconds = sum(frame.samples / frame.sample_rate for frame in again.frames())
        seen.packets, seen.bad = max(1, again.packets), again.bad_packets
        seen.decoded = again.samples
    seen.counted = seen.end = seconds
    return seen
