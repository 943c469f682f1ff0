"""What is in a stem file: which stems make up each track, and what its `stem` atom says of them.

Players find the four tracks by their order, and sum them themselves: the mix in front of them is
for players that know nothing of stems.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple


class Track(NamedTuple):
    """A track behind the mix: its name and colour on a deck, and the stems that it is made of."""

    name: str
    color: str
    stems: tuple[str, ...]


# Four tracks, whatever is separated: guitar and piano are part of the rest.
TRACKS = (
    Track("Drums", "#009E73", ("drums",)),
    Track("Bass", "#D55E00", ("bass",)),
    Track("Other", "#CC79A7", ("other", "guitar", "piano")),
    Track("Vox", "#56B4E9", ("vocals",)),
)
# Off. Some readers refuse a file that does not say so.
_DSP: dict[str, dict[str, bool | float]] = {
    "compressor": {
        "enabled": False,
        "ratio": 3,
        "output_gain": 0.5,
        "release": 0.3,
        "attack": 0.003,
        "input_gain": 0.5,
        "threshold": 0,
        "hp_cutoff": 300,
        "dry_wet": 50,
    },
    "limiter": {"enabled": False, "release": 0.05, "threshold": 0, "ceiling": -0.35},
}


def inputs(stems: Mapping[str, str]) -> list[list[str]]:
    """The files that are summed into each of TRACKS; `stems`: id -> path, of 4 or 6 stems."""
    return [[stems[one] for one in track.stems if one in stems] for track in TRACKS]


def manifest() -> bytes:
    """The content of the `stem` atom: JSON and nothing else."""
    told = {
        "version": 1,
        "stems": [{"name": track.name, "color": track.color} for track in TRACKS],
        "mastering_dsp": _DSP,
    }
    return json.dumps(told, separators=(",", ":")).encode("ascii")
