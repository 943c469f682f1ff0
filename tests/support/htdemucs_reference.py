"""Makes htdemucs_reference.json: what demucs itself makes of small networks of random numbers.

    PYTHONPATH=. /path/to/environment/with/demucs/bin/python -m tests.support.htdemucs_reference

demucs (4.1.0) and torch are no part of stemwatch's environment; the file is made once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.weights import random_state, segment

FILE = Path(__file__).with_suffix(".json")
SEED, EVERY, SECONDS = 7, 499, 3.2
FOUR = ["drums", "bass", "other", "vocals"]
# Odd lengths at each level, tokens of another width than the encoders', and neither
NETWORKS: dict[str, dict[str, Any]] = {
    "htdemucs": {"sources": FOUR, "channels": 16, "dconv_mode": 3, "bottom_channels": 32,
                 "t_layers": 3, "segment": [3, 2]},
    "htdemucs_6s": {"sources": [*FOUR, "guitar", "piano"], "channels": 8, "dconv_mode": 1,
                    "t_layers": 2, "segment": [1, 1]},
}  # fmt: skip


def sound(seconds: float = SECONDS) -> np.ndarray:
    """(2, samples): noise under a slow swell, its sides unlike."""
    count = int(seconds * 44_100)
    noise = np.random.default_rng(3).normal(size=(2, count)) * [[0.2], [0.1]]
    return (noise * (1.1 + np.sin(np.arange(count) / 9000)) + 0.01).astype(np.float32)


def main() -> None:
    import torch
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    found = {}
    for name, settings in NETWORKS.items():
        network = HTDemucs(**segment(settings)).eval()
        shapes = {key: list(one.shape) for key, one in network.state_dict().items()}
        state = random_state(shapes, SEED)
        network.load_state_dict({k: torch.from_numpy(v).float() for k, v in state.items()})
        mix = torch.from_numpy(sound())
        mono = mix.mean(0)
        mean, deviation = mono.mean(), mono.std() + 1e-8
        with torch.no_grad():
            made = apply_model(network, ((mix - mean) / deviation)[None], shifts=0)[0]
        picked = (made * deviation + mean)[..., ::EVERY]
        found[name] = {
            "settings": settings,
            "shapes": shapes,
            "expected": [[[float(f"{v:.6g}") for v in side] for side in one] for one in picked],
        }
    FILE.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
