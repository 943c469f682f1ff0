"""Hybrid Transformer Demucs (Rouard, Massa, Défossez 2023) as a graph, without its transforms.

In: `spectrum` (1, 4, 2048, frames), real and imaginary part of left and right, and `wave`
(1, 2, 1, samples), both normalised. Out: `spectra` and `waves`, four and two channels a source.
The network is described by its paper and its public sources; the exact arithmetic is demucs 4.1's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemwatch.errors import ConfigFault
from stemwatch.server.engines.neural.layers import STRIDE, Layers, Size
from stemwatch.server.engines.neural.onnx_graph import Graph
from stemwatch.server.engines.neural.spectrum import BINS, frames_of
from stemwatch.server.engines.neural.transformer import (
    Transformer,
    positions,
    positions_in_image,
)
from stemwatch.server.engines.neural.weights import Weights

DEPTH, RATE = 4, 44_100
# How the published networks are made. One that differs in any of these is another network.
MADE_WITH: Mapping[str, Any] = {
    "audio_channels": 2,
    "growth": 2,
    "nfft": 4096,
    "wiener_iters": 0,
    "cac": True,
    "depth": DEPTH,
    "rewrite": True,
    "kernel_size": 8,
    "stride": STRIDE,
    "context": 1,
    "context_enc": 0,
    "norm_starts": DEPTH,
    "dconv_comp": 8,
    "t_emb": "sin",
    "t_norm_in": True,
    "t_norm_in_group": False,
    "t_group_norm": False,
    "t_norm_first": True,
    "t_norm_out": True,
    "t_max_period": 10_000.0,
    "t_layer_scale": True,
    "t_gelu": True,
    "t_weight_pos_embed": 1.0,
    "t_sparse_self_attn": False,
    "t_sparse_cross_attn": False,
    "t_cross_first": False,
    "samplerate": RATE,
    "use_train_segment": True,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`sources` in the network's order; `samples` in a segment, the only length it takes."""

    sources: tuple[str, ...]
    samples: int
    channels: int = 48
    heads: int = 8
    layers: int = 5
    bottom: int = 0  # width of the transformer's tokens; 0: as the encoders leave them
    embedding: float = 2.0  # what the frequencies' embedding is multiplied by


def plan_of(settings: Mapping[str, Any]) -> Plan:
    """From the settings of a checkpoint. ConfigFault where it is a network of another kind."""
    for name, value in MADE_WITH.items():
        if settings.get(name, value) != value:
            raise ConfigFault(
                f"This HTDemucs was made with {name}={settings[name]!r}; "
                f"stemwatch knows those with {value!r}.",
                hint="Use the published ones: `stemwatch models list`.",
            )
    segment = settings.get("segment", 10)  # seconds; a fraction is two numbers
    over, under = segment if isinstance(segment, list) else (segment, 1)
    return Plan(
        sources=tuple(settings["sources"]),
        samples=int(RATE * over / under),
        channels=settings.get("channels", 48),
        heads=settings.get("t_heads", 8),
        layers=settings.get("t_layers", 5),
        bottom=settings.get("bottom_channels", 0),
        embedding=settings.get("freq_emb", 0.2) * settings.get("emb_scale", 10),
    )


def build(plan: Plan, weights: Weights) -> Graph:
    """The graph with these weights in it. ConfigFault where they don't fit."""
    graph = Graph()
    built = _Build(graph, Layers(graph, weights), plan, weights)
    built.run()
    weights.require_all_taken()
    return graph


class _Build:
    def __init__(self, graph: Graph, layers: Layers, plan: Plan, weights: Weights) -> None:
        self._graph, self._layers, self._plan, self._weights = graph, layers, plan, weights
        channels = [plan.channels << level for level in range(DEPTH)]
        frames = frames_of(plan.samples)
        lengths = [plan.samples]
        for _ in range(DEPTH):
            lengths.append(-(-lengths[-1] // STRIDE))
        # Sizes outside of and after each level of the encoders
        self._images = [Size(4, BINS, frames)]
        self._waves = [Size(2, 1, lengths[0])]
        for level, count in enumerate(channels):
            self._images.append(Size(count, BINS // STRIDE ** (level + 1), frames))
            self._waves.append(Size(count, 1, lengths[level + 1]))

    def run(self) -> None:
        graph = self._graph
        image = graph.input("spectrum", (1, *self._images[0]))
        wave = graph.input("wave", (1, *self._waves[0]))
        images, waves = self._encoded(image, wave)
        image, wave = self._transformed(images[-1], waves[-1])
        image, wave = self._decoded(image, wave, images, waves)
        count = len(self._plan.sources)
        graph.output("spectra", image, (1, 4 * count, *self._images[0][1:]))
        graph.output("waves", wave, (1, 2 * count, *self._waves[0][1:]))

    def _encoded(self, image: str, wave: str) -> tuple[list[str], list[str]]:
        images, waves = [], []
        for level in range(DEPTH):
            before, after = self._waves[level : level + 2]
            if missing := after.frames * STRIDE - before.frames:
                ends = self._graph.constant([0] * 7 + [missing])
                wave = self._graph.node("Pad", wave, ends)
            wave = self._layers.encode(f"tencoder.{level}", wave, before.channels, after)
            channels = self._images[level].channels
            image = self._layers.encode(
                f"encoder.{level}", image, channels, self._images[level + 1]
            )
            if level == 0:
                image = self._graph.node("Add", image, self._embedding())
            images.append(image)
            waves.append(wave)
        return images, waves

    def _embedding(self) -> str:
        """Tells each row which frequency it is."""
        size = self._images[1]
        table = self._weights.take("freq_emb.embedding.weight", size.rows, size.channels)
        scaled = table.T.reshape(1, size.channels, size.rows, 1) * self._plan.embedding
        return self._graph.constant(scaled)

    def _transformed(self, image: str, wave: str) -> tuple[str, str]:
        node, constant = self._graph.node, self._graph.constant
        sizes = (self._images[-1], self._waves[-1])
        channels, width = sizes[0].channels, self._plan.bottom or sizes[0].channels
        counts = (sizes[0].rows * sizes[0].frames, sizes[1].frames)
        inner = Transformer(self._graph, self._weights, width=width, heads=self._plan.heads)
        tokens = []
        places = (
            positions_in_image(width, sizes[0].rows, sizes[0].frames),
            positions(width, counts[1]),
        )
        for mark, one, count, place in zip(("", "_t"), (image, wave), counts, places, strict=True):
            rows = node("Reshape", one, constant([channels, count]))
            rows = self._resized(
                inner, f"channel_upsampler{mark}", node("Transpose", rows, perm=(1, 0))
            )
            tokens.append(inner.placed(f"crosstransformer.norm_in{mark}", rows, place))
        tokens = inner.layers(tokens, counts, self._plan.layers)
        out = []
        for mark, rows, size in zip(("", "_t"), tokens, sizes, strict=True):
            narrow = self._resized(inner, f"channel_downsampler{mark}", rows)
            narrow = node("Transpose", narrow, perm=(1, 0))
            out.append(node("Reshape", narrow, constant([1, *size])))
        return out[0], out[1]

    def _resized(self, inner: Transformer, name: str, tokens: str) -> str:
        """To the transformer's width or back; as they are where both widths are one."""
        if not self._plan.bottom:
            return tokens
        bias = self._weights.take(f"{name}.bias")
        return inner.linear(tokens, self._weights.take(f"{name}.weight", len(bias), -1), bias)

    def _decoded(
        self, image: str, wave: str, images: list[str], waves: list[str]
    ) -> tuple[str, str]:
        sources = len(self._plan.sources)
        for level in reversed(range(DEPTH)):
            last, number = level == 0, DEPTH - 1 - level
            to, to_wave = self._images[level], self._waves[level]
            if last:
                to = to._replace(channels=4 * sources)
                to_wave = to_wave._replace(channels=2 * sources)
            image = self._layers.decode(
                f"decoder.{number}", image, images[level], self._images[level + 1], to, is_last=last
            )
            wave = self._layers.decode(
                f"tdecoder.{number}", wave, waves[level], self._waves[level + 1], to_wave,
                is_last=last,
            )  # fmt: skip
        return image, wave
