"""How well weights separate songs whose stems are known: signal-to-distortion ratio, in dB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from cells import load

from stemwatch.job import STEMS
from stemwatch.server.engines.spectral import bands
from stemwatch.server.engines.spectral.cues import listen
from stemwatch.server.engines.spectral.masks import GROUPS, residual_stem, stem_masks
from stemwatch.server.engines.spectral.network import SOURCES, Network
from stemwatch.server.engines.spectral.stft import Array, istft


def sdr(true: Any, made: Any) -> float:
    return float(10 * np.log10(((true**2).sum() + 1e-8) / (((true - made) ** 2).sum() + 1e-8)))


def plain_masks(cues: Any, network: Network, stems: int) -> Array:
    """The network's own masks, without the repetition cue: to compare with."""
    masks = network.masks(cues.values)
    summed = [masks[[SOURCES.index(s) for s in group]].sum(0) for group in GROUPS[stems]]
    return np.delete(np.stack(summed), residual_stem(stems), axis=0)


def _with_residual(masks: Array, stems: int) -> Array:
    """What the masks leave, as the mask of the stem that they leave it to."""
    return np.insert(masks, residual_stem(stems), 1 - masks.sum(0), axis=0)


def score(folder: Path, networks: dict[str, Network]) -> dict[str, dict[str, float]]:
    """SDR by method and stem; `other` is that of four stems, guitar and piano are those of six."""
    truth = load(folder)
    mix = np.ascontiguousarray(sum(truth.values()))
    heard = listen(mix)
    table: dict[str, dict[str, float]] = {"the mix": {}}
    for name, network in networks.items():
        for label, method in (("", stem_masks), (" alone", plain_masks)):
            row = table.setdefault(name + label, {})
            for stems in (2, 4, 6):
                masks = _with_residual(method(heard, network, stems), stems)
                for number, stem in enumerate(STEMS[stems]):
                    parts = [truth[s] for s in GROUPS[stems][number] if s in truth]
                    if not parts or (stem in row):
                        continue
                    masked = heard.spectrum * bands.to_bins(masks[number])
                    made = istft(masked, len(mix), bands.SIZE, bands.HOP)
                    row[stem] = sdr(sum(parts), made)
                    table["the mix"].setdefault(stem, sdr(sum(parts), mix))
    return table


def report(folders: list[Path], networks: dict[str, Network]) -> str:
    """A Markdown table of mean SDRs."""
    scores = [score(folder, networks) for folder in folders]
    stems = ("vocals", "instrumental", "drums", "bass", "other", "guitar", "piano")
    lines = ["| weights | " + " | ".join(stems) + " |", "|---" * (len(stems) + 1) + "|"]
    for method in scores[0]:
        cells = []
        for stem in stems:
            values = [s[method][stem] for s in scores if stem in s[method]]
            cells.append(f"{np.mean(values):.1f}" if values else "-")
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def from_file(path: Path) -> Network:
    with np.load(path) as stored:
        return Network({name: stored[name] for name in stored.files})
