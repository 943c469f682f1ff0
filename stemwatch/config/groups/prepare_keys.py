"""`prepare`: what becomes of a song before its upload."""

from __future__ import annotations

from dataclasses import dataclass, field

from stemwatch.config.checks import one_of


@dataclass(frozen=True)
class Prepare:
    """`upload`: `auto` or `original`; `low_bitrate`: what is sent of a small MP3.

    One for all inboxes: it follows from the line and the API, which they share.
    """

    upload: str = field(default="auto", metadata={"shape": one_of("auto", "original")})
    low_bitrate: str = field(default="send", metadata={"shape": one_of("send", "flac")})
