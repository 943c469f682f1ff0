"""A tempo as songs' own tags have it: "124,57 BPM" is 124.57. Pure."""

from __future__ import annotations

import re

_TEMPO = re.compile(r"\s*(\d{1,3}(?:[.,]\d+)?)\s*(?:bpm)?\s*", re.IGNORECASE)


def own_tempo(written: str) -> float | None:
    """The tempo in a song's own tag, in beats a minute; None: the tag holds no sensible one."""
    found = _TEMPO.fullmatch(written)
    beats = float(found[1].replace(",", ".")) if found else 0.0
    return beats if 1 <= beats < 1000 else None
