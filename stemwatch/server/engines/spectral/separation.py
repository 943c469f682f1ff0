"""The built-in engine: no download, no GPU. Preview quality."""

from __future__ import annotations

from functools import partial

from stemwatch.server.engines.song import Progress, Separation, separate_song
from stemwatch.server.engines.spectral.stream import separate_stream


def separate(
    source: str, out_dir: str, *, stems: int, format: str, progress: Progress, threads: int = 1
) -> Separation:
    """Separate `source` into `out_dir`, on so many cores; see `separate_song`."""
    stream = partial(separate_stream, stems=stems, threads=threads)
    return separate_song(
        source, out_dir, stems=stems, format=format, progress=progress, stream=stream
    )
