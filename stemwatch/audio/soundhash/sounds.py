"""Which listener hears the sound of a file, by the file's first bytes; its name says nothing."""

from __future__ import annotations

import os

from stemwatch.audio.containers import id3v2
from stemwatch.audio.soundhash.chunk_sound import chunk_listener
from stemwatch.audio.soundhash.clusters import ClusterListener
from stemwatch.audio.soundhash.frame_sound import flac_listener, mpeg_listener
from stemwatch.audio.soundhash.listeners import Deaf, Listener, Odd
from stemwatch.audio.soundhash.mp4_samples import mp4_listener
from stemwatch.audio.soundhash.pages import PageListener

_HEAD = 16  # bytes
_MOST_TAGS = 8  # ID3v2 tags in front of the sound; more than one is rare


def listener_for(fd: int, size: int) -> Listener:
    """A listener for the regular file `fd` of `size` bytes, which is then shown all of them.

    Reads the parts that say where the sound is: a few short ones, and an MP4's index. Raises
    OSError.
    """
    try:
        return _listener(fd, size)
    except (Odd, LookupError, ValueError):
        return Deaf()


def _listener(fd: int, size: int) -> Listener:
    head = os.pread(fd, _HEAD, 0)
    if head[:4] in (b"RIFF", b"RF64", b"BW64", b"FORM"):
        return chunk_listener(fd, size, head)
    if head[:4] == b"OggS":
        return PageListener()
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return ClusterListener()
    if head[4:8] == b"ftyp":
        return mp4_listener(fd, size)
    start = 0
    for _ in range(_MOST_TAGS):  # a hostile file may be nothing else
        start += id3v2.length(os.pread(fd, 10, start))
    if os.pread(fd, 4, start) == b"fLaC":
        return flac_listener(fd, size, start)
    return mpeg_listener(fd, size, start)
