"""The runtimes behind the names of devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from stemwatch.server.engines.neural.choosing import GPU_NAME
from stemwatch.server.engines.neural.on_cpu import open_cpu
from stemwatch.server.engines.neural.on_gpu import open_gpu
from stemwatch.server.engines.neural.onnx_graph import Graph
from stemwatch.server.engines.spectral.stft import Array


class Runtime(Protocol):
    """A graph that runs somewhere: inputs by name, outputs in the graph's order."""

    def run(self, inputs: Mapping[str, Array]) -> list[Array]: ...


def open_on(
    device: str, build: Callable[[], Graph], *, kept: str | None, digest: str, threads: int
) -> Runtime:
    """The network of `build()` on `device`, cpu or a GPU. Raises ConfigFault, RuntimeError."""
    gpu = GPU_NAME.fullmatch(device)
    if gpu is None:
        return open_cpu(build, kept=kept, digest=digest, threads=threads)
    return open_gpu(build(), int(gpu[1] or 0))
