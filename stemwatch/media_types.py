"""The media type of a file by its name.

`mimetypes` knows flac, m4a and ogg only where the system has a file that lists them.
"""

from __future__ import annotations

_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "ogg": "audio/ogg",
    "webm": "audio/webm",
    "zip": "application/zip",
}


def media_type(name: str) -> str:
    """By its extension, in any case; `application/octet-stream` for one that is not known."""
    return _TYPES.get(name.rpartition(".")[2].lower(), "application/octet-stream")
