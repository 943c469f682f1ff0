"""What a separation server hears in a song besides tempo and key, checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_LONGEST = 1e6  # seconds: no song is that long


class Heard(NamedTuple):
    """Each is None where it is unknown, as all are of a server that does not tell them.

    `tuning_cents`: from A4 = 440 Hz, -50 to 50, sharp is positive. Confidences: 0 to 1.
    `first_beat_seconds`: into the song; with the tempo it makes the beat grid.
    """

    tuning_cents: float | None = None
    tempo_confidence: float | None = None
    key_confidence: float | None = None
    first_beat_seconds: float | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Heard | None:
        """What is a number in its range of what `told` has by these names; None: nothing is."""
        heard = cls(
            _between(told.get("tuning_cents"), -50, 50),
            _between(told.get("tempo_confidence"), 0, 1),
            _between(told.get("key_confidence"), 0, 1),
            _between(told.get("first_beat_seconds"), 0, _LONGEST),
        )
        return None if heard == cls() else heard


def _between(value: Any, lowest: float, highest: float) -> float | None:
    """A finite number within these bounds; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN compares false; a number of 400 digits compares without overflow.
    return float(value) if lowest <= value <= highest else None
