"""The cross-domain transformer of HTDemucs: tokens of both branches, each looking at the other.

Tokens lie as rows, (tokens, width). Gains and offsets that stand before or after a matrix are
part of that matrix here.
"""

from __future__ import annotations

import numpy as np

from stemwatch.server.engines.neural.layers import EPSILON
from stemwatch.server.engines.neural.onnx_graph import Graph
from stemwatch.server.engines.neural.weights import Weights
from stemwatch.server.engines.spectral.stft import Array

PERIOD = 10_000.0


class Transformer:
    """Adds its layers to a graph. `width` of a token, `heads` of an attention."""

    def __init__(self, graph: Graph, weights: Weights, *, width: int, heads: int) -> None:
        self._graph = graph
        self._weights = weights
        self._width = width
        self._heads = heads

    def layers(self, tokens: list[str], counts: tuple[int, int], depth: int) -> list[str]:
        """The tokens of both branches, `counts` of them, after `depth` layers."""
        name = "crosstransformer.layers"
        for layer in range(depth):
            names = (f"{name}.{layer}", f"{name}_t.{layer}")
            crossed = layer % 2 == 1
            tokens = [
                self._layer(names[own], tokens[own], counts[own],
                            tokens[1 - own] if crossed else None, counts[1 - own])
                for own in (0, 1)
            ]  # fmt: skip
        return tokens

    def placed(self, name: str, tokens: str, positions: Array) -> str:
        """Normalised, and told where they are: `positions` (tokens, width) are added."""
        gain = self._graph.constant(self._weights.take(f"{name}.weight", self._width))
        where = self._graph.constant(positions + self._weights.take(f"{name}.bias", self._width))
        return self._graph.node("Add", self._graph.node("Mul", self._norm(tokens), gain), where)

    def linear(self, tokens: str, weight: Array, bias: Array) -> str:
        graph = self._graph
        return graph.node(
            "Add", graph.node("MatMul", tokens, graph.constant(weight.T)), graph.constant(bias)
        )

    def _layer(self, name: str, tokens: str, count: int, other: str | None, others: int) -> str:
        node, take, width = self._graph.node, self._weights.take, self._width
        crossed = other is not None
        attended = self._attended(name, tokens, count, other, others)
        tokens = node("Add", tokens, attended)
        norm = f"{name}.norm{3 if crossed else 2}"
        hidden = len(take(f"{name}.linear1.bias"))
        weight, bias = self._after(norm, take(f"{name}.linear1.weight", hidden, width),
                                   take(f"{name}.linear1.bias"))  # fmt: skip
        inner = node("Gelu", self.linear(self._norm(tokens), weight, bias))
        scale = take(f"{name}.gamma_2.scale", width)
        weight = take(f"{name}.linear2.weight", width, hidden) * scale[:, None]
        outer = self.linear(inner, weight, take(f"{name}.linear2.bias", width) * scale)
        return self._norm_of_all(f"{name}.norm_out", node("Add", tokens, outer))

    def _attended(self, name: str, tokens: str, count: int, other: str | None, others: int) -> str:
        take, width = self._weights.take, self._width
        inside = f"{name}.{'self' if other is None else 'cross'}_attn"
        weights = take(f"{inside}.in_proj_weight", 3, width, width)
        biases = take(f"{inside}.in_proj_bias", 3, width)
        own = self._norm(tokens)
        theirs, second = (own, "norm1") if other is None else (self._norm(other), "norm2")
        part: float = (width // self._heads) ** -0.5
        query = self.linear(own, *self._after(f"{name}.norm1", weights[0] * part, biases[0] * part))
        key, value = (
            self.linear(theirs, *self._after(f"{name}.{second}", weights[n], biases[n]))
            for n in (1, 2)
        )
        seen = self._attention(query, key, value, count, count if other is None else others)
        scale = take(f"{name}.gamma_1.scale", width)
        weight = take(f"{inside}.out_proj.weight", width, width) * scale[:, None]
        return self.linear(seen, weight, take(f"{inside}.out_proj.bias", width) * scale)

    def _after(self, norm: str, weight: Array, bias: Array) -> tuple[Array, Array]:
        """A matrix that also does the gain and offset of the normalisation before it."""
        gain = self._weights.take(f"{norm}.weight", self._width)
        offset = self._weights.take(f"{norm}.bias", self._width)
        return weight * gain, bias + weight @ offset

    def _attention(self, query: str, key: str, value: str, count: int, others: int) -> str:
        """The runtimes know this shape, and never write the (count, others) scores to memory."""
        node, constant, heads = self._graph.node, self._graph.constant, self._heads
        part = self._width // heads
        query = node("Reshape", query, constant([count, heads, part]))
        key = node("Reshape", key, constant([others, heads, part]))
        value = node("Reshape", value, constant([others, heads, part]))
        scores = node("MatMul", node("Transpose", query, perm=(1, 0, 2)),
                      node("Transpose", key, perm=(1, 2, 0)))  # fmt: skip
        shares = node("Softmax", scores, axis=-1)
        seen = node("MatMul", shares, node("Transpose", value, perm=(1, 0, 2)))
        seen = node("Transpose", seen, perm=(1, 0, 2))
        return node("Reshape", seen, constant([count, self._width]))

    def _norm(self, tokens: str) -> str:
        """Each token by its own mean and deviation."""
        ones = self._graph.constant(np.ones(self._width, np.float32))
        return self._graph.node("LayerNormalization", tokens, ones, axis=-1, epsilon=EPSILON)

    def _norm_of_all(self, name: str, tokens: str) -> str:
        """All tokens by their common mean and deviation."""
        node, constant, take = self._graph.node, self._graph.constant, self._weights.take
        axes = constant([0, 1])
        centred = node("Sub", tokens, node("ReduceMean", tokens, axes))
        variance = node("ReduceMean", node("Mul", centred, centred), axes)
        root = node("Sqrt", node("Add", variance, constant(EPSILON)))
        gain = node("Mul", node("Reciprocal", root), constant(take(f"{name}.weight", self._width)))
        return node("Add", node("Mul", centred, gain), constant(take(f"{name}.bias", self._width)))


def positions(width: int, count: int) -> Array:
    """Where a token is in time: cosines, then sines, (count, width)."""
    rate = PERIOD ** (np.arange(width // 2) / (width // 2 - 1))
    phase = np.arange(count)[:, None] / rate
    return np.concatenate([np.cos(phase), np.sin(phase)], 1).astype(np.float32)


def positions_in_image(width: int, rows: int, frames: int) -> Array:
    """Where a token is in time and in frequency: sines and cosines by turns, half of the width
    each; (rows x frames, width), row after row.
    """
    half = width // 2
    rate = np.exp(np.arange(0.0, half, 2) * -(np.log(PERIOD) / half))
    in_time, in_pitch = np.arange(frames)[:, None] * rate, np.arange(rows)[:, None] * rate
    out = np.empty((rows, frames, width), np.float32)
    out[..., 0:half:2], out[..., 1:half:2] = np.sin(in_time), np.cos(in_time)
    out[..., half::2], out[..., half + 1 :: 2] = (
        np.sin(in_pitch)[:, None],
        np.cos(in_pitch)[:, None],
    )
    return out.reshape(rows * frames, width)
