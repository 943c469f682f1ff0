"""The built-in engine: no download, no GPU. Preview quality."""

from __future__ import annotations

from functools import partial

from stemwatch.server.engines.song import Progress, Separation, separate_song
from stemwatch.server.engines.spectral.stream import separate_stream


def separate(
    source: str, out_dir: str, *, stems: int, format: str, progress: Progress
) -> Separation:
    """Separate `source` into `out_dir`; see `separate_song`."""
    stream = partial(separate_stream, stems=stems)
    return separate_song(
        source, out_dir, stems=stems, format=format, progress=progress, stream=stream
    )
