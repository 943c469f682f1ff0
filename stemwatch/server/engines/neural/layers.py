"""The convolutional layers of HTDemucs: encoder, decoder, and the residual branches inside both.

Both of its branches are images here, (1, channels, rows, frames): the spectrogram's rows are its
frequencies, and the waveform has one. So one code serves both, without a transposition between
layers. `W` below has that network's own names.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stemwatch.server.engines.neural.onnx_graph import Graph
from stemwatch.server.engines.neural.weights import Weights
from stemwatch.server.engines.spectral.stft import Array

KERNEL, STRIDE = 8, 4
PADDING = (KERNEL - STRIDE) // 2
EPSILON = 1e-5
COMPRESSION = 8  # of channels inside a residual branch


class Size(NamedTuple):
    """Of an image: channels, rows and frames."""

    channels: int
    rows: int
    frames: int


class Layers:
    """Adds layers to a graph."""

    def __init__(self, graph: Graph, weights: Weights) -> None:
        self._graph = graph
        self._weights = weights

    def encode(self, name: str, image: str, inputs: int, to: Size) -> str:
        """A quarter of the rows (or of the frames, where there is one row) in `to.channels`."""
        graph, vertical = self._graph, to.rows > 1
        kernel = (KERNEL, 1) if vertical else (1, KERNEL)
        weight = self._weights.take(f"{name}.conv.weight", to.channels, inputs, *kernel)
        image = graph.node(
            "Conv",
            image,
            graph.constant(weight),
            graph.constant(self._weights.take(f"{name}.conv.bias", to.channels)),
            kernel_shape=kernel,
            strides=(STRIDE, 1) if vertical else (1, STRIDE),
            pads=(PADDING, 0) * 2 if vertical else (0, PADDING) * 2,
        )
        image = self._residual(f"{name}.dconv", graph.node("Gelu", image), to)
        return self._rewrite(name, image, to, (1, 1))

    def decode(
        self, name: str, image: str, skip: str, at: Size, to: Size, *, is_last: bool = False
    ) -> str:
        """Four times the rows (or frames): `at` is the image's size, `to` the result's."""
        graph, vertical = self._graph, at.rows > 1
        image = graph.node("Add", image, skip)
        image = self._rewrite(name, image, at, (3, 3) if vertical else (1, 3))
        image = self._residual(f"{name}.dconv", image, at)
        kernel = (KERNEL, 1) if vertical else (1, KERNEL)
        weight = self._weights.take(f"{name}.conv_tr.weight", at.channels, to.channels, *kernel)
        # The encoder filled an odd length up; what that became is cut off at the end
        cut = STRIDE * at.frames + PADDING - to.frames
        image = graph.node(
            "ConvTranspose",
            image,
            graph.constant(weight),
            graph.constant(self._weights.take(f"{name}.conv_tr.bias", to.channels)),
            kernel_shape=kernel,
            strides=(STRIDE, 1) if vertical else (1, STRIDE),
            pads=(PADDING, 0) * 2 if vertical else (0, PADDING, 0, cut),
        )
        return image if is_last else graph.node("Gelu", image)

    def _rewrite(self, name: str, image: str, size: Size, kernel: tuple[int, int]) -> str:
        count = size.channels
        weight = self._weights.take(f"{name}.rewrite.weight", 2 * count, count, *kernel)
        return self._gated(image, weight, self._weights.take(f"{name}.rewrite.bias", 2 * count))

    def _gated(self, image: str, weight: Array, bias: Array) -> str:
        """Convolved, one half of the channels times the sigmoid of the other.

        As two convolutions: each half is written once, where splitting one result copies it.
        """
        half = len(weight) // 2
        value = self._convolved(image, weight[:half], bias[:half])
        gate = self._convolved(image, weight[half:], bias[half:])
        return self._graph.node("Mul", value, self._graph.node("Sigmoid", gate))

    def _convolved(self, image: str, weight: Array, bias: Array, dilation: int = 1) -> str:
        """At the image's own size."""
        graph = self._graph
        high, wide = weight.shape[2:]
        return graph.node(
            "Conv",
            image,
            graph.constant(weight),
            graph.constant(bias),
            kernel_shape=(high, wide),
            dilations=(1, dilation),
            pads=(high // 2, wide // 2 * dilation) * 2,
        )

    def _residual(self, name: str, image: str, size: Size) -> str:
        """Dilated convolutions along the frames, in an eighth of the channels, added to `image`."""
        layer = 0
        while f"{name}.layers.{layer}.0.weight" in self._weights:
            branch = self._branch(f"{name}.layers.{layer}", image, size, dilation=1 << layer)
            image = self._graph.node("Add", image, branch)
            layer += 1
        return image

    def _branch(self, name: str, image: str, size: Size, *, dilation: int) -> str:
        take, count = self._weights.take, size.channels
        few = count // COMPRESSION
        weight = take(f"{name}.0.weight", few, count, 1, 3)
        image = self._convolved(image, weight, take(f"{name}.0.bias", few), dilation)
        image = self._normalised(
            image, take(f"{name}.1.weight", 1, few, 1, 1), take(f"{name}.1.bias", 1, few, 1, 1)
        )
        image = self._graph.node("Gelu", image)
        return self._widened(name, image, Size(few, size.rows, size.frames), count)

    def _normalised(self, image: str, gain: Array, offset: Array) -> str:
        """Each row by its own mean and deviation, over its channels and frames."""
        node, axes = self._graph.node, self._graph.constant([1, 3])
        centred = node("Sub", image, node("ReduceMean", image, axes))
        variance = node("ReduceMean", node("Mul", centred, centred), axes)
        scaled = node("Mul", node("Mul", centred, self._inverse_root(variance)), self._c(gain))
        return node("Add", scaled, self._c(offset))

    def _inverse_root(self, variance: str) -> str:
        node = self._graph.node
        return node("Reciprocal", node("Sqrt", node("Add", variance, self._c(EPSILON))))

    def _widened(self, name: str, image: str, size: Size, count: int) -> str:
        """A 1x1 convolution to twice `count` channels, normalised, gated and scaled: in one pass.

        The normalisation's mean and deviation follow from those of the narrow input, a sixteenth
        of the wide result: with W and b, mean m and covariance C of a row's input, the result's
        mean is that of W m + b, its variance is mean((W m + b - mean)^2) + mean(diag(W C W')).
        So the result itself need never be written before it is normalised.
        """
        node, take, wide = self._graph.node, self._weights.take, 2 * count
        weight, bias = take(f"{name}.3.weight", wide, size.channels), take(f"{name}.3.bias", wide)
        mean, inverse = self._moments(image, size, weight, bias)
        shape = self._graph.constant([1, 1, size.rows, 1])
        inverse = node("Reshape", inverse, shape)
        shift = node("Mul", node("Reshape", mean, shape), inverse)
        # gain (W x + b - mean) / deviation + offset, as a convolution of x / deviation,
        # 1 / deviation and mean / deviation
        both = node("Concat", inverse, shift, axis=1)
        both = node("Expand", both, self._graph.constant([1, 2, size.rows, size.frames]))
        image = node("Concat", node("Mul", image, inverse), both, axis=1)
        gain, offset = take(f"{name}.4.weight", wide), take(f"{name}.4.bias", wide).copy()
        whole = np.concatenate([weight, bias[:, None], np.full((wide, 1), -1, np.float32)], 1)
        whole *= gain[:, None]
        scale = take(f"{name}.6.scale", count)
        whole[:count] *= scale[:, None]
        offset[:count] *= scale
        return self._gated(image, whole[:, :, None, None], offset)

    def _moments(self, image: str, size: Size, weight: Array, bias: Array) -> tuple[str, str]:
        """Of each row of the image after (weight, bias): mean and 1 / deviation, both (rows, 1)."""
        node, constant = self._graph.node, self._graph.constant
        few, rows, frames = size
        mean = node("ReduceMean", image, constant([3]))
        centred = node("Reshape", node("Sub", image, mean), constant([few, rows, frames]))
        centred = node("Transpose", centred, perm=(1, 0, 2))
        products = node("MatMul", centred, node("Transpose", centred, perm=(0, 2, 1)))
        products = node("Reshape", products, constant([rows, few * few]))
        squares = (weight.T @ weight / (len(weight) * frames)).reshape(-1, 1)
        spread = node("MatMul", products, constant(squares))
        mean = node("Transpose", node("Reshape", mean, constant([few, rows])), perm=(1, 0))
        middle, middle_bias = weight.mean(0), bias.mean()
        away = node("MatMul", mean, constant((weight - middle).T))
        away = node("Add", away, constant(bias - middle_bias))
        away = node("ReduceMean", node("Mul", away, away), constant([1]))
        whole = node("Add", node("MatMul", mean, constant(middle[:, None])), constant(middle_bias))
        return whole, self._inverse_root(node("Add", spread, away))

    def _c(self, values: Array | float) -> str:
        return self._graph.constant(values)
