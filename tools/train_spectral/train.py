"""Fits the network's 2,054 numbers with Adam, in numpy, to the stems' mean relative error."""

from __future__ import annotations

from typing import Any

import numpy as np
from cells import Cells

from stemwatch.server.engines.spectral.network import CLIP, SOURCES, softmax

HIDDEN = 32
BATCH = 8192
PEAK_RATE = 4e-3
DECAY = 1e-3
VALIDATE = 8  # every eighth song is kept to watch over-fitting

Weights = dict[str, Any]


def fit(cells: Cells, epochs: int, seed: int = 0) -> Weights:
    """Weights as `network.Network` takes them, float32. Prints the errors as it goes."""
    cues = np.nan_to_num(cells.cues.astype(np.float32))
    mean, scale = cues.mean(0, dtype=np.float64), cues.std(0, dtype=np.float64) + 1e-3
    cues = np.clip((cues - mean) / scale, -CLIP, CLIP).astype(np.float32)
    weight = importance(cells)
    shares = cells.shares.astype(np.float32)
    kept = cells.song % VALIDATE == 0
    train, check = np.flatnonzero(~kept), np.flatnonzero(kept)
    rng = np.random.default_rng(seed)
    weights = start(cues.shape[1], rng)
    adam = Adam(weights, steps=epochs * (len(train) // BATCH))
    for epoch in range(epochs):
        order, error = rng.permutation(train), 0.0
        for at in range(0, len(train) - BATCH + 1, BATCH):
            rows = order[at : at + BATCH]
            loss, slopes = gradient(weights, cues[rows], shares[rows], weight[rows])
            adam.step(slopes)
            error += loss * BATCH / len(train)
        if epoch % 5 == 4 or epoch == epochs - 1:
            held = gradient(weights, cues[check], shares[check], weight[check])[0]
            print(f"epoch {epoch + 1}: error {error:.4f}, held-out {held:.4f}", flush=True)
    named = {"mean": mean, "scale": scale, **weights}
    return {name: np.asarray(value, np.float32) for name, value in named.items()}


def importance(cells: Cells) -> Any:
    """(n, 6): a cell's power against its source's energy, so that a quiet source counts as well."""
    total = cells.energy.sum(1, keepdims=True)
    weight = cells.weight[:, None] / (cells.energy + 0.04 * total)
    weight /= weight.mean()
    return np.minimum(weight, np.quantile(weight, 0.9995)).astype(np.float32)


def start(inputs: int, rng: np.random.Generator) -> Weights:
    """Random weights of the right spread (He 2015), biases at zero."""
    sizes = (inputs, HIDDEN, HIDDEN, len(SOURCES))
    weights: Weights = {}
    for n in (1, 2, 3):
        spread = np.sqrt(2 / sizes[n - 1]) * (0.3 if n == 3 else 1)
        drawn = rng.normal(size=(sizes[n], sizes[n - 1])) * spread
        weights[f"w{n}"] = drawn.astype(np.float32)
        weights[f"b{n}"] = np.zeros(sizes[n], np.float32)
    return weights


def gradient(weights: Weights, cues: Any, shares: Any, weight: Any) -> tuple[float, Weights]:
    """The weighted squared error of the masks, and its slope for every weight."""
    signals = [cues.T]
    for n in (1, 2):
        signals.append(np.maximum(weights[f"w{n}"] @ signals[-1] + weights[f"b{n}"][:, None], 0))
    masks = softmax(weights["w3"] @ signals[-1] + weights["b3"][:, None])
    off, weight = masks - shares.T, weight.T
    pull = 2 * weight * off / off.size
    slope = masks * (pull - (pull * masks).sum(0))
    slopes: Weights = {}
    for n in (3, 2, 1):
        slopes[f"w{n}"], slopes[f"b{n}"] = slope @ signals[n - 1].T, slope.sum(1)
        if n > 1:
            slope = (weights[f"w{n}"].T @ slope) * (signals[n - 1] > 0)
    return float((weight * off**2).mean()), slopes


class Adam:
    """Adam with decoupled decay; the rate rises for 30 % of the steps and falls to nothing."""

    def __init__(self, weights: Weights, steps: int) -> None:
        self.weights, self.steps, self.done = weights, steps, 0
        self.first = {name: np.zeros_like(value) for name, value in weights.items()}
        self.second = {name: np.zeros_like(value) for name, value in weights.items()}

    def rate(self) -> float:
        part = self.done / self.steps
        rise = part / 0.3 if part < 0.3 else 1 - (part - 0.3) / 0.7
        return PEAK_RATE * (0.04 + 0.96 * (1 - np.cos(np.pi * rise)) / 2)

    def step(self, slopes: Weights) -> None:
        rate = self.rate()
        self.done += 1
        for name, slope in slopes.items():
            first, second = self.first[name], self.second[name]
            first += 0.1 * (slope - first)
            second += 0.001 * (slope**2 - second)
            move = first / (1 - 0.9**self.done)
            move = move / (np.sqrt(second / (1 - 0.999**self.done)) + 1e-8)
            self.weights[name] -= rate * (move + DECAY * self.weights[name])
