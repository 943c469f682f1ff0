"""The key whose profile fits the chroma best (Krumhansl's method, Sha'ath's profiles)."""

from __future__ import annotations

import numpy as np

from stemwatch.server.engines.spectral.stft import Array

NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# I. Sha'ath, "Estimation of key in digital music recordings" (2011)
PROFILES = {
    "major": (6.6, 2.0, 3.5, 2.3, 4.6, 4.0, 2.5, 5.2, 2.4, 3.7, 2.3, 3.4),
    "minor": (6.5, 2.7, 3.5, 5.4, 2.6, 3.5, 2.5, 5.2, 4.0, 2.7, 4.3, 3.2),
}
LIKE = 0.6  # correlation below which it is no key: noise stays under 0.55, music above 0.64
SURE = 0.15  # lead over the next key that counts as certain


def find_key(chroma: Array) -> tuple[str, float] | None:
    """("C# minor", confidence 0..1) of twelve weights from C; None where no key can be heard."""
    if float(np.std(chroma)) < 1e-6:
        return None
    fits = sorted(
        (
            (float(np.corrcoef(np.roll(profile, tonic), chroma)[0, 1]), f"{NOTES[tonic]} {mode}")
            for mode, profile in PROFILES.items()
            for tonic in range(12)
        ),
        reverse=True,
    )
    (best, key), (second, _) = fits[:2]
    if best < LIKE:
        return None
    return key, float(np.clip((best - second) / SURE, 0, 1) * np.clip(best, 0, 1))
