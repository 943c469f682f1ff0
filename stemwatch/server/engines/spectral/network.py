"""The fusion network: 24 cues of a cell in, six masks out. 24-32-32-6, 2,054 numbers, numpy only.

The weights are made by `tools/train_spectral` and shipped beside this module.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from stemwatch.job import STEMS
from stemwatch.server.engines.spectral.cues import NAMES
from stemwatch.server.engines.spectral.stft import Array

SOURCES = STEMS[6]  # the order of the network's outputs
LAYERS = ("1", "2", "3")
CLIP = 5  # standard deviations: beyond what training saw, the network would extrapolate


class Network:
    """Judges cells. Made from weights named `mean`, `scale`, `w1`, `b1` .. `w3`, `b3`."""

    def __init__(self, weights: dict[str, Array]) -> None:
        mean, scale = weights["mean"], weights["scale"]
        if weights["w1"].shape[1] != len(NAMES) or len(weights["b3"]) != len(SOURCES):
            raise ValueError("these weights belong to other cues or other sources")
        self._low = (mean - CLIP * scale)[:, None].astype(np.float32)
        self._high = (mean + CLIP * scale)[:, None].astype(np.float32)
        layers = [(weights[f"w{n}"], weights[f"b{n}"]) for n in LAYERS]
        # Standardising is folded into the first layer
        first, bias = layers[0]
        layers[0] = first / scale, bias - first @ (mean / scale)
        self._layers = [
            (np.ascontiguousarray(w, np.float32), b[:, None].astype(np.float32)) for w, b in layers
        ]

    def masks(self, cues: Array) -> Array:
        """Shares of each source: (24, ...) to (6, ...), summing to 1. What is given is spoiled."""
        flat = cues.reshape(len(NAMES), -1)
        return self._judge(flat).reshape(len(SOURCES), *cues.shape[1:])

    def _judge(self, cues: Array) -> Array:
        signal = np.clip(cues, self._low, self._high, out=cues)
        for weight, bias in self._layers[:-1]:
            signal = weight @ signal
            signal += bias
            np.maximum(signal, 0, out=signal)
        weight, bias = self._layers[-1]
        return softmax(weight @ signal + bias)


def softmax(scores: Array) -> Array:
    """Along the first axis."""
    scores = scores - scores.max(0)
    np.exp(scores, out=scores)
    scores /= scores.sum(0)
    return scores


@cache
def shipped() -> Network:
    """The network with the weights of this package, loaded once a process."""
    with (files(__package__) / "weights.npz").open("rb") as file:
        stored: Any = np.load(file, allow_pickle=False)
        return Network({name: stored[name] for name in stored.files})
