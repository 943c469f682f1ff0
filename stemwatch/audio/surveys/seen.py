"""What is found in a file: how long it says it is, how long it plays, how much of it is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import av

from stemwatch.audio.frames import Source

SHORT_SHARE = 0.02  # encoder delay and rounded headers stay well below this
RUN, EVERY = 8, 32  # of every 32 runs of 8 packets one is decoded: a hole of 7 s is met


@dataclass(slots=True)
class Survey:
    """Times in seconds, from where the sound begins."""

    declared: float | None = None  # by the sound's own header, or the file's
    counted: float = 0.0  # the sum of the packets' durations
    end: float = 0.0  # where the last packet ends
    holes: float = 0.0  # what the clock jumps over
    file_end: float = 0.0  # where the last packet of any stream does: a film may outlast its sound
    packets: int = 0
    bad: int = 0  # packets that don't decode
    skipped: float = 0.0  # packets that an MP3's garbage stands for
    decoded: int = 0  # samples
    longest: int = 0  # samples of one packet, of those that `decode` met

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
        lost = self.bad or self.skipped or not self.decoded
        return bool(lost) or self.holes > SHORT_SHARE * self.end or self.short > SHORT_SHARE


def sampled(count: int) -> Iterator[int]:
    """The numbers of the packets that are decoded, of `count`: some all along, and the last ones.

    The end is where a copy that broke off was filled up with something else.
    """
    last = max(0, count - RUN)
    for start in range(0, last, RUN * EVERY):
        yield from range(start, min(start + RUN, last))
    yield from range(last, count)


def decode(
    source: Source, seen: Survey, place: Callable[[int], tuple[int, int]], numbers: Iterable[int]
) -> None:
    """Decode these packets, each at its `place`: its first byte in the file, and its length.

    One behind a jump lacks what came before it: that is our doing, and it is never bad.
    """
    decoder, before = source.stream.codec_context, -1
    decoder.flush_buffers()
    seen.bad = seen.decoded = 0
    with open(source.path, "rb") as file:
        for number in numbers:
            at, size = place(number)
            file.seek(at)
            try:
                frames = decoder.decode(av.Packet(file.read(size)))
                samples = sum(frame.samples for frame in frames)
                seen.decoded += samples
                seen.longest = max(seen.longest, samples)
            except (av.FFmpegError, ValueError):
                seen.bad += before == number - 1
            before = number
