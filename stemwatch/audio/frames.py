"""Frames out of any audio file: opened safely, damaged packets skipped and counted.

Helper and worker processes only: this module imports PyAV.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.stream import Disposition

from stemwatch.audio.containers.told_kind import told_kind
from stemwatch.codes import Code
from stemwatch.errors import Reject

# Playlists (hls, concat, dash) would fetch whatever URL or file a dropped "song" names.
CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,caf,dts,eac3,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,ogg,"
    "tta,w64,wav,wv"
)
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": CONTAINERS,
    "probesize": "32768",  # bytes; with FFmpeg's 5 MB opening a WAV takes 37 ms instead of 3
}
# A header may claim 1 Hz or 65,535 channels, and resampling that eats the machine's memory.
_RATES = range(4_000, 768_001)
_CHANNELS = range(1, 33)
# What stands for the codec in an MP4 that only its shop's player opens.
_PROTECTION = {
    "drms": "Apple's FairPlay",
    "drmi": "Apple's FairPlay",
    "aavd": "Audible",
    "enca": "Common Encryption",
}

# Tags may be in any encoding. PyAV 19 always keeps their bytes as surrogates; 18 has to be told to,
# or one tag in Latin-1 makes the whole song "not audio".
_KEEP_TAG_BYTES: dict[str, Any] = (
    {"metadata_errors": "surrogateescape"} if int(av.__version__.partition(".")[0]) < 19 else {}
)

# Told that it is a WAV of samples, FFmpeg does not look for DTS in it: two thirds of a short one's
# verification.
_TOLD = {"probesize": "2048"}  # bytes

av.logging.set_level(None)  # FFmpeg's remarks on damaged files go nowhere; errors are raised


class Source:
    """One opened audio file; a context manager. `kind`: FFmpeg's name of what it is known to be.

    `track`: which of its sound tracks, from 0; None: the one that players begin with. `bad_packets`
    and `packets` count what was met so far, `samples` the decoded samples per channel. Raises
    Reject: `not_audio` where nothing can be opened, `no_audio_stream` for pictures only,
    `protected` where DRM keeps decoders out.
    """

    def __init__(self, path: str, kind: str | None = None, track: int | None = None) -> None:
        self.path = os.path.abspath(path)  # "/..." is never taken for a protocol such as "concat:"
        self.track = track
        self.packets = self.bad_packets = self.samples = 0
        self.container = _open(self.path, kind)
        try:
            self.stream = _audio_stream(self.container, track)
        except Reject:
            self.container.close()
            raise
        self.codec: str = self.stream.codec_context.name
        self.sample_rate: int = self.stream.codec_context.sample_rate
        self.channels: int = self.stream.codec_context.channels

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def metadata(self) -> dict[str, str]:
        """The song's own tags by FFmpeg's names."""
        stream = self.stream.metadata
        names = {name.lower() for name in stream}
        if "matroska" in self.container.format.name and "artist" not in names:
            # It is the track's name then, as "Stereo".
            stream = {name: text for name, text in stream.items() if name.lower() != "title"}
        found = {**stream, **self.container.metadata}
        return {_printable(name): _printable(value) for name, value in found.items()}

    def picture(self) -> bytes:
        """The cover that FFmpeg found, as it is in the file; empty without one."""
        for stream in self.container.streams.video:
            if stream.disposition & Disposition.attached_pic:
                return bytes(next(self.container.demux(stream)))
        return b""

    def has_film(self) -> bool:
        """Whether there are streams beside the sound that play; a cover does not."""
        cover = Disposition.attached_pic
        return any(not film.disposition & cover for film in self.container.streams.video)

    def is_own(self, packet: Any) -> bool:
        """Whether it is one of the audio stream's."""
        return bool(packet.stream.index == self.stream.index)

    def demux(self, *, film: bool = False) -> Iterator[Any]:
        """Packets of the audio stream, of `film` too if asked for; what can't be read any further
        counts as one bad packet."""
        packets = self.container.demux() if film else self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):
                self.bad_packets += 1  # a cut m4a or flac: what came before is still good
                return
            if packet.size and (not film or self.is_own(packet)):
                self.packets += 1
            yield packet

    def frames(self) -> Iterator[AudioFrame]:
        """Decoded frames in the order of the file; time stamps are ignored."""
        for packet in self.demux():
            yield from self.decode(packet)

    def decode(self, packet: Any) -> list[AudioFrame]:
        """The frames of one packet; a damaged one gives none and is counted."""
        try:
            frames: list[AudioFrame] = packet.decode()
        except (av.FFmpegError, ValueError):
            self.bad_packets += 1
            return []
        for frame in frames:
            _check_shape(self.path, frame.sample_rate, len(frame.layout.channels))
            self.samples += frame.samples
        return frames


def _printable(text: str) -> str:
    """What is no UTF-8 is read as Windows writes it: many a WAV's tags are in its own letters.

    Surrogates can be written neither into a stem's tags nor into JSON that others read.
    """
    found = text.encode("utf-8", "surrogateescape")
    try:
        return found.decode("utf-8")
    except UnicodeDecodeError as fault:
        # Text whose letters were UTF-8 so far is one that a program cut within a letter.
        cut = not found[: fault.start].isascii()
        return found.decode("utf-8" if cut else "cp1252", "replace")


def _open(path: str, kind: str | None) -> Any:
    kind = kind or told_kind(path)
    options = _OPTIONS | _TOLD if kind == "wav" else _OPTIONS
    try:
        return av.open(path, format=kind, options=options, **_KEEP_TAG_BYTES)
    except (FileNotFoundError, PermissionError):
        raise
    except (av.FFmpegError, ValueError, OverflowError) as fault:
        raise Reject(
            f"{os.path.basename(path)!r} is not audio that can be opened "
            f"({getattr(fault, 'strerror', None) or fault}).",
            code=Code.NOT_AUDIO,
            hint="Drop a whole song; docs/configuration.md names the kinds (`watch.extensions`).",
        ) from fault


def _audio_stream(container: Any, track: int | None) -> Any:
    if not container.streams.audio:
        raise Reject(
            f"{os.path.basename(container.name)!r} has no audio stream.",
            code=Code.NO_AUDIO_STREAM,
            hint="Drop a file that has sound, not only pictures.",
        )
    # A film's first track may be a commentary: the one that players begin with is marked.
    tracks = container.streams.audio
    marked = (one for one in tracks if one.disposition & Disposition.default)
    stream = next(marked, tracks[0]) if track is None else tracks[track]
    if stream.codec_context is None:
        raise _unusable(container.name, "its codec is unknown")
    if protection := _PROTECTION.get(stream.codec_context.codec_tag):
        raise Reject(
            f"{os.path.basename(container.name)!r} is protected against copying ({protection}).",
            code=Code.PROTECTED,
            hint="No decoder can open it. Get this song without copy protection (DRM).",
        )
    stream.codec_context.thread_count = 1
    _check_shape(container.name, stream.codec_context.sample_rate, stream.codec_context.channels)
    return stream


def _check_shape(path: str, rate: int, channels: int) -> None:
    if not rate and not channels:
        raise _unusable(path, "no audio is found in it")
    if rate not in _RATES or channels not in _CHANNELS:
        raise _unusable(path, f"it claims {channels} channels at {rate} Hz")


def _unusable(path: str, why: str) -> Reject:
    return Reject(
        f"{os.path.basename(path)!r} can't be decoded: {why}.",
        code=Code.NOT_AUDIO,
        hint="Convert it to WAV, FLAC or MP3 and drop it again.",
    )
