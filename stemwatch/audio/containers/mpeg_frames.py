"""The frames of an MP3 from its first byte to its last: every byte is a frame, a tag, or lost.

FFmpeg takes what lies between two frames for a part of the next one, and guesses the length where
over a sixteenth of the file is something else.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass, field

from stemwatch.audio.containers import id3v2
from stemwatch.audio.containers.mpeg_headers import HEAD, Kind, Told, kind_of, lengths_of, told_by

_BLOCK = 1 << 20  # bytes read at once
_AHEAD = 8_192  # bytes that hold the three frames which tell a frame from chance
_PADDING = 1 << 16  # bytes at most
_ID3V1, _APE, _LYRICS_END = 128, 32, 15  # bytes
_JOINED = (b"ID3\3", b"ID3\4", b"APETAGEX")
_TAGS = (b"ID3", b"TAG", b"APE", b"LYR")


@dataclass(slots=True)
class Frames:
    """The good frames of a file; the one that only tells the length is left out.

    Each has its start and its size in bytes; `seconds` is what they play. Lost bytes lie `between`
    two of them or `around` them: before the first, behind the last.
    """

    starts: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("H"))
    seconds: float = 0.0
    between: int = 0
    around: int = 0
    told: Told | None = None


def frames_of(path: str) -> Frames:
    """Walk through the whole file; none at all where it is no MP3. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return _Walk(file.fileno()).through()


class _Walk:
    """One way through a file; `_end` is where tags begin that lie at its end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._end = _end_of_sound(fd)
        self._found = Frames()

    def through(self) -> Frames:
        found, at, lost = self._found, 0, 0
        while at < self._end:
            if tag := self._tag(at):
                at += tag + (0 if found.starts else self._zeros(at + tag))
            elif kind := self._frame(at):
                if found.starts:
                    found.between += lost
                else:
                    found.around += lost
                lost = 0
                at = self._run(at + self._telling(at, kind), kind)
            else:
                after = self._next(at)
                lost, at = lost + after - at, after
        found.around += lost
        return found

    def _run(self, at: int, kind: Kind) -> int:
        """Take the frames of this kind that follow one another; the place where they end."""
        lengths, starts, sizes = lengths_of(kind), self._found.starts, self._found.sizes
        before, much = len(starts), _AHEAD  # a file of short runs would be read again and again
        while at < self._end:
            block = os.pread(self._fd, min(much, self._end - at), at)
            here, much = 0, _BLOCK
            while size := lengths.get(block[here : here + HEAD]):
                starts.append(at + here)
                sizes.append(size)
                here += size
            at += here
            if not here or here < len(block) - HEAD:
                break
        if at > self._end and len(starts) > before:  # the last one is cut: neither good nor junk
            starts.pop()
            sizes.pop()
        self._found.seconds += (len(starts) - before) * kind.samples / kind.rate
        return at

    def _telling(self, at: int, kind: Kind) -> int:
        """The length of the frame here if it is the first and only tells how long the song is."""
        if self._found.starts or self._found.told:
            return 0
        size = lengths_of(kind)[os.pread(self._fd, HEAD, at)]
        self._found.told = told_by(os.pread(self._fd, size, at), kind)
        return size if self._found.told else 0

    def _frame(self, at: int) -> Kind | None:
        block = os.pread(self._fd, min(_AHEAD, self._end - at), at)
        first = None if self._found.starts else kind_of(block[:HEAD])
        if first and told_by(block[: lengths_of(first)[block[:HEAD]]], first):
            return first  # it tells of a song, whatever has become of that
        return _confirmed(block, 0)

    def _zeros(self, at: int) -> int:
        """Padding that a tag in front of the sound has and does not count."""
        block = os.pread(self._fd, _PADDING, at)
        return len(block) - len(block.lstrip(b"\0"))

    def _next(self, at: int) -> int:
        """Where something begins that is known, behind `at`; or the end."""
        at, much = at + 1, _AHEAD
        while at < self._end:
            block = os.pread(self._fd, min(much + _AHEAD, self._end - at), at)
            searched = min(much, len(block))
            here = _first_known(block, searched)
            if here < searched:
                return at + here
            at, much = at + searched, _BLOCK
        return self._end

    def _tag(self, at: int) -> int:
        """The length of the tag that begins here, such as that of a song which was joined on."""
        head = os.pread(self._fd, _APE, at)
        if size := id3v2.length(head):
            return size
        if head[:8] == b"APETAGEX" and len(head) == _APE:
            return _APE + int.from_bytes(head[12:16], "little")
        return _ID3V1 if head[:3] == b"TAG" else 0


def _confirmed(block: bytes, here: int) -> Kind | None:
    """The kind of the frame here, if two more follow it, or a tag or the block's end does."""
    kind = kind_of(block[here : here + HEAD])
    if kind is None:
        return None
    lengths = lengths_of(kind)
    for _ in range(2):
        here += lengths[block[here : here + HEAD]]
        following = block[here : here + HEAD]
        if here == len(block) or following in _TAGS:
            return kind
        if following not in lengths:
            return None
    return kind


def _first_known(block: bytes, searched: int) -> int:
    """The place of the first frame or joined song's tag in `block`; `searched` if there is none."""
    places = (block.find(mark, 0, searched) for mark in _JOINED)
    tag = min((at for at in places if at >= 0), default=searched)
    here = block.find(b"\xff", 0, tag)
    while here >= 0:
        if _confirmed(block, here):
            return here
        here = block.find(b"\xff", here + 1, tag)
    return tag


def _end_of_sound(fd: int) -> int:
    """Where the tags at the end of the file begin: ID3v1, Lyrics3 and APEv2, in any order."""
    end = os.fstat(fd).st_size
    while size := tag_before(fd, end):
        end = max(0, end - size)
    return end


def tag_before(fd: int, end: int) -> int:
    """The length of the tag that ends at `end`.

    One that says where it begins is believed if it does: a wrong length would swallow the sound.
    """
    tail = os.pread(fd, min(_ID3V1, end), max(0, end - _ID3V1))
    if len(tail) == _ID3V1 and tail[:3] == b"TAG":
        return _ID3V1
    footer = tail[-_APE:]
    if footer[:8] == b"APETAGEX" and len(footer) == _APE:
        has_header = footer[23] & 0x80
        size = int.from_bytes(footer[12:16], "little") + (_APE if has_header else 0)
        return size if not has_header or _begins(fd, end - size, b"APETAGEX") else _APE
    if tail.endswith(b"LYRICS200") and tail[-_LYRICS_END:-9].isdigit():
        size = int(tail[-_LYRICS_END:-9]) + _LYRICS_END
        return size if _begins(fd, end - size, b"LYRICSBEGIN") else _LYRICS_END
    return 0


def _begins(fd: int, at: int, mark: bytes) -> bool:
    return at >= 0 and os.pread(fd, len(mark), at) == mark
