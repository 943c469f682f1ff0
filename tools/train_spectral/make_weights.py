"""Makes `weights.npz` from nothing: renders songs, cuts cells, trains, evaluates. See README.md."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import functools
import multiprocessing
from pathlib import Path

import numpy as np
from cells import Cells, cut
from evaluate import from_file, report
from songs import HELD_OUT, catalogue, write_song
from train import fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="the weights file to write")
    parser.add_argument("--work", type=Path, default=Path("spectral-songs"), help="songs go here")
    parser.add_argument("--songs", type=int, default=44)
    parser.add_argument("--variations", type=int, default=4, help="of each song")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--against", type=Path, help="other weights, evaluated too")
    parser.add_argument("--evaluate", type=Path, nargs="*", default=[], help="folders of stems")
    options = parser.parse_args()

    write = functools.partial(write_song, folder=options.work)
    with multiprocessing.Pool(2) as pool:
        trained = pool.map(write, catalogue(options.songs), chunksize=1)
        held_out = pool.map(write, catalogue(11, first=HELD_OUT), chunksize=1)
        jobs = [(f, n, v) for n, f in enumerate(trained) for v in range(options.variations)]
        pieces = pool.starmap(cut, jobs, chunksize=1)
    cells = Cells(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
    print(f"{len(cells.song):,} cells of {options.songs} songs", flush=True)
    np.savez(options.output, **fit(cells, options.epochs))

    networks = {"these": from_file(options.output)}
    if options.against:
        networks["others"] = from_file(options.against)
    print("Held-out songs\n" + report(held_out, networks))
    for folder in options.evaluate:
        songs = sorted({path.parent for path in folder.glob("*/*.flac")})
        print(f"{folder}\n" + report(songs, networks))


if __name__ == "__main__":
    main()
