"""What the programs `ffprobe` and `ffmpeg` say of a file: an independent reading and decoding.

Both shorten a WAV or an Ogg that is cut off without a word; mutagen says that something is missing.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from typing import Any

import mutagen.aiff
import mutagen.mp3
import mutagen.ogg
import mutagen.wave

_TIMEOUT = 300.0  # seconds
_UNKNOWN = mutagen.mp3.BitrateMode.UNKNOWN  # there is no such frame
_STREAMED = 3_000.0  # seconds: the sizes that pipes leave are hours of sound
_GUESSED = {"mp3", "aac"}  # containers whose length ffprobe may guess


class NoDecoder(Exception):
    """There are no such programs."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`seconds` as decoded, `said` as the header has it (None: it doesn't, or it is a guess)."""

    container: str = ""
    codec: str = ""
    rate: int = 0
    channels: int = 0
    seconds: float = 0.0
    said: float | None = None
    errors: int = 0
    cut: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """It decodes without an error to what the header says, and that is something."""
        enough = self.said is None or self.seconds >= 0.98 * self.said
        return self.seconds > 0 and not self.errors and not self.cut and enough


def read(path: str) -> Reading:
    """The first stream of sound, decoded to its end. Raises NoDecoder."""
    told = _probed(path)
    sound = next((one for one in told.get("streams", []) if one["codec_type"] == "audio"), None)
    if sound is None or not int(sound.get("sample_rate", 0)):
        return Reading()
    container, about = told["format"]["format_name"], told["format"]
    rate, channels = int(sound["sample_rate"]), int(sound["channels"])
    frames, errors = _decoded(path, channels)
    seconds = sound.get("duration") or (about.get("duration") if _alone(told) else None)
    guessed = container in _GUESSED or seconds is None
    tags = {**sound.get("tags", {}), **about.get("tags", {})}
    return Reading(
        container=container,
        codec=sound.get("codec_name", ""),
        rate=rate,
        channels=channels,
        seconds=frames / rate,
        said=None if guessed else float(seconds),
        errors=errors,
        cut=_is_cut(path, container, frames / rate),
        tags={name.lower(): value for name, value in tags.items()},
    )


def _alone(told: dict[str, Any]) -> bool:
    """Whether the file's length is the sound's: no film beside it."""
    return len(told["streams"]) == 1


def _is_cut(path: str, container: str, seconds: float) -> bool:
    """Whether its chunk of samples, its last page, or what an MP3 counts is not all there."""
    try:
        if container == "mp3":
            about = mutagen.mp3.MP3(path).info
            return about.bitrate_mode != _UNKNOWN and bool(0.98 * about.length > seconds)
        if container == "ogg":
            return _ogg_is_cut(path)
        if container in ("wav", "aiff"):
            kind: Any = mutagen.wave.WAVE if container == "wav" else mutagen.aiff.AIFF
            said = kind(path).info.length
            return bool(0.98 * said > seconds and said < _STREAMED)
    except mutagen.MutagenError:
        pass
    return False


def _ogg_is_cut(path: str) -> bool:
    with open(path, "rb") as file:
        while True:
            start = file.tell()
            try:
                mutagen.ogg.OggPage(file)
            except EOFError:
                return False
            except mutagen.ogg.error:  # a page that ends too early, or something else behind them
                file.seek(start)
                return file.read(4) == b"OggS"


def _probed(path: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "quiet", "-of", "json", "-show_format", "-show_streams", path]
    try:
        found = json.loads(_run(command).stdout or b"{}")
    except (subprocess.TimeoutExpired, json.JSONDecodeError):  # half an answer: it broke off
        return {}
    return found if isinstance(found, dict) else {}


def _decoded(path: str, channels: int) -> tuple[int, int]:
    """Samples per channel, and lines of complaint."""
    sink = ["-map", "0:a:0", "-ac", str(channels), "-f", "s16le", "pipe:1"]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-i", path, *sink]
    try:
        done = _run(command)
    except subprocess.TimeoutExpired:
        return 0, 1
    complaints = len(done.stderr.splitlines())
    return len(done.stdout) // (2 * channels), complaints + (done.returncode != 0)


def _run(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
    except FileNotFoundError as missing:
        raise NoDecoder(f"{command[0]} is not installed (Debian: apt install ffmpeg)") from missing
