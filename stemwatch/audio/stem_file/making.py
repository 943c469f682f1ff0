"""Makes a stem file out of a song's stems; its tags are written afterwards, as those of stems are.

Helper process only: it imports PyAV and numpy.
"""

from __future__ import annotations

from collections.abc import Mapping

from stemwatch.audio.stem_file import atom, layout, tracks


def make(stems: Mapping[str, str], out: str, codec: str) -> None:
    """Write `out` from `stems` (id -> path, of 4 or 6 stems). `codec`: alac | aac.

    Raises as `tracks.write_tracks`; the partial file is the caller's.
    """
    tracks.write_tracks(layout.inputs(stems), out, codec)
    atom.insert(out, layout.manifest())
