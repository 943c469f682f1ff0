"""What Serato leaves in a song, made and read by mutagen alone."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import mutagen.aiff
import mutagen.flac
import mutagen.id3
import mutagen.mp3
import mutagen.wave

_KINDS: dict[bytes, Any] = {b"RIFF": mutagen.wave.WAVE, b"FORM": mutagen.aiff.AIFF}
# ID3's descriptions and FLAC's comments, the first three of each for the stems.
FRAMES = ("Serato Markers_", "Serato Markers2", "Serato BeatGrid")
COMMENTS = ("SERATO_MARKERS", "SERATO_MARKERS_V2", "SERATO_BEATGRID")
_MIX_FRAMES = ("Serato Overview", "Serato Autotags", "Serato Analysis", "Serato Offsets_")
_MIX_COMMENTS = ("SERATO_OVERVIEW", "SERATO_AUTOGAIN", "SERATO_ANALYSIS", "SERATO_RELVOL")


def payload(name: str, size: int = 400) -> bytes:
    """Bytes of every value, another beginning for each name."""
    return name.encode() + b"\0" + bytes(range(256)) * (size // 256 + 1)


def text(name: str, size: int = 400) -> str:
    """In base64 without padding, a line feed behind each 72 letters."""
    letters = base64.b64encode(payload(name, size)).decode().rstrip("=")
    return "\n".join(letters[at : at + 72] for at in range(0, len(letters), 72))


def leave(path: Path, *names: str, size: int = 400) -> Path:
    """Write these (all three, without `names`) into a song, and what belongs to the mix alone."""
    if path.read_bytes()[:4] == b"fLaC":
        flac = mutagen.flac.FLAC(path)
        for name in (*(names or COMMENTS), *_MIX_COMMENTS):
            flac[name] = text(name, size)
        flac.save()
        return path
    audio = _with_id3(path)
    if audio.tags is None:
        audio.add_tags()
    for name in (*(names or FRAMES), *_MIX_FRAMES):
        audio.tags.add(
            mutagen.id3.GEOB(  # type: ignore[attr-defined]
                encoding=0, mime="application/octet-stream", desc=name, data=payload(name, size)
            )
        )
    audio.save()
    return path


def left_in(path: Path) -> dict[str, bytes]:
    """All that is Serato's in a file, by name."""
    if path.read_bytes()[:4] == b"fLaC":
        flac = mutagen.flac.FLAC(path)
        found = {name.upper(): values for name, values in dict(flac).items()}
        return {k: "".join(v).encode() for k, v in found.items() if k.startswith("SERATO")}
    frames = (_with_id3(path).tags or mutagen.id3.ID3()).getall("GEOB")
    return {frame.desc: frame.data for frame in frames}


def _with_id3(path: Path) -> Any:
    return _KINDS.get(path.read_bytes()[:4], mutagen.mp3.MP3)(path)
