"""The built-in engine in ratios: SDR against simpler methods, speed, sums, tempo and key.

    python -m tests.benchmarks.bench_spectral [FOLDER ...]

Each FOLDER holds one song's stems as `<stem>.flac` or `.wav`; without one, made songs are used.
Other methods: the mix as every stem's estimate, the centre mask (voice only), and Spleeter with its
real weights, where `stemwatch models fetch spleeter` has brought them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean

import numpy as np

from stemwatch.audio.codec import Encoder, decode
from stemwatch.job import STEMS
from stemwatch.models.folder import folder_of, look
from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.cues import listen
from stemwatch.server.engines.spectral.separation import separate
from stemwatch.server.engines.spectral.stft import Array, istft
from stemwatch.server.engines.spectral.stream import separate_stream
from stemwatch.server.made_song import make_song, write_song

RATE = 44_100
PARTS = {
    "vocals": ("vocals",),
    "drums": ("drums",),
    "bass": ("bass",),
    "other": ("other", "guitar", "piano"),
}


def sdr(true: Array, made: Array) -> float:
    """Signal to distortion, dB."""
    return float(10 * np.log10((true**2).sum() / (((made - true) ** 2).sum() + 1e-9)))


def read(path: str | Path) -> Array:
    return np.concatenate(list(decode(str(path))))


def songs(folders: list[str]) -> dict[str, dict[str, Array]]:
    """Stems of each song by name."""
    if not folders:
        return {
            f"made {key}": make_song(seconds=24, bpm=bpm, key=key, seed=seed)[1]
            for seed, (key, bpm) in enumerate([("C major", 100), ("F# minor", 124)])
        }
    return {
        folder: {p.stem: read(p) for p in Path(folder).iterdir() if p.suffix in {".flac", ".wav"}}
        for folder in folders
    }


def quality(stems: dict[str, Array]) -> dict[str, dict[str, float]]:
    """SDR by method and stem."""
    length = min(map(len, stems.values()))
    truth = {
        name: np.sum([stems[p][:length] for p in parts if p in stems], axis=0)
        for name, parts in PARTS.items()
        if any(p in stems for p in parts)
    }
    mix = np.sum(list(truth.values()), axis=0, dtype=np.float32)
    made = np.concatenate(list(separate_stream([mix], 4)), axis=1) / 32_768
    cues = listen(mix)
    centred = np.clip(cues.sheet["centred"], 0, 1)
    voice = istft(cues.spectrum * bands.to_bins(centred), len(mix), bands.SIZE, bands.HOP)
    table = {"mix": {name: sdr(sound, mix) for name, sound in truth.items()}}
    table["centre mask"] = {"vocals": sdr(truth["vocals"], voice)} if "vocals" in truth else {}
    table["spectral"] = {name: sdr(truth[name], made[STEMS[4].index(name)]) for name in truth}
    if (made := by_spleeter(mix)) is not None:
        table["spleeter"] = {name: sdr(truth[name], made[STEMS[4].index(name)]) for name in truth}
    return table


def by_spleeter(mix: Array) -> Array | None:
    """Its four stems, or None where its weights aren't here."""
    from stemwatch.server.engines.neural.spleeter_engine import Spleeter, stem_stream

    found = look(folder_of(None, os.environ), "spleeter")
    if found is None:
        return None
    network = Spleeter(found.path, "cpu", 1, None)
    pieces = stem_stream([mix], network=network, stems=4, threads=1)
    return np.concatenate(list(pieces), axis=1) / 32_768


def speed(folder: str, format: str, stems: int, seconds: float = 90) -> str:
    """x realtime of a whole job on one core, by CPU time (the machine may be busy), and the sum."""
    source = f"{folder}/bench.{format}"
    write_song(source, seconds=seconds, format=format)
    started = time.process_time()
    made = separate(source, folder, stems=stems, format=format, progress=lambda _: None)
    spent = time.process_time() - started
    mix = read(source).astype(np.float64)
    total = np.sum([read(path) for path in made.stems.values()], axis=0, dtype=np.float64)
    error = 10 * np.log10(((total - mix) ** 2).sum() / (mix**2).sum() + 1e-30)
    return (
        f"{format} to {stems} {format} stems: {made.duration / spent:.1f} x realtime, "
        f"sum of stems - mix: {error:.0f} dB"
    )


def mp3_alone(folder: str) -> str:
    """What MP3 does to a mix that nobody separated: the floor of any sum of MP3s."""
    mix, _ = make_song(seconds=24)
    with Encoder(f"{folder}/alone.mp3", "mp3") as encoder:
        encoder.write(mix)
    return f"the same mix as mp3 - mix: {-sdr(mix, read(f'{folder}/alone.mp3')):.0f} dB"


def main() -> None:
    scores = []
    for name, stems in songs(sys.argv[1:]).items():
        scores.append(quality(stems))
        told = {method: round(row["vocals"], 1) for method, row in scores[-1].items()}
        print(f"vocals of {name}, SDR in dB: {told}")
    print(f"SDR, dB, mean of {len(scores)} songs")
    for method in scores[0]:
        row = [
            f"{stem} {fmean(s[method][stem] for s in scores if stem in s[method]):5.1f}"
            for stem in PARTS
            if any(stem in s[method] for s in scores)
        ]
        print(f"  {method:12} " + "  ".join(row))
    with tempfile.TemporaryDirectory() as folder:
        for format, stems in (("wav", 2), ("wav", 6), ("flac", 4), ("mp3", 2)):
            print(speed(folder, format, stems))
        print(mp3_alone(folder))


if __name__ == "__main__":
    main()
