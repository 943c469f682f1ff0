"""A graph on an NVIDIA GPU, by onnxruntime.

Never run on a GPU: there was none where it was written. onnxruntime falls back to the CPU with no
more than a warning. Here that is a fault, for whoever asked for the GPU to hear of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemwatch.errors import ConfigFault
from stemwatch.extras import NEURAL_CUDA
from stemwatch.server.engines.neural.onnx_graph import Graph
from stemwatch.server.engines.spectral.stft import Array

PROVIDER = "CUDAExecutionProvider"


class GpuNetwork:
    """Runs a graph in a session of onnxruntime's."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        found: list[Array] = self._session.run(None, dict(inputs))
        return found


def open_gpu(graph: Graph, number: int) -> GpuNetwork:
    """The network on GPU `number`. ConfigFault where that doesn't work, with what is missing."""
    NEURAL_CUDA.require()
    import onnxruntime

    try:
        if PROVIDER not in onnxruntime.get_available_providers():
            raise RuntimeError("the onnxruntime that is installed is one for CPUs")
        onnxruntime.preload_dlls()  # CUDA and cuDNN of the extra, where the system has none
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Unless a number is named, it binds threads to processors that systemd or docker took away
        # from this process (findings/onnxruntime-leaves-its-processors.sh). The GPU does the work.
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            b"".join(graph.parts()), options, providers=[(PROVIDER, {"device_id": number})]
        )
        if session.get_providers()[0] != PROVIDER:
            raise RuntimeError("CUDA or cuDNN can't be loaded, or there is no such GPU")
    except Exception as fault:
        raise ConfigFault(
            f"GPU {number} can't be used: {fault}.",
            hint=f"Look at `nvidia-smi`; {NEURAL_CUDA.command()} brings onnxruntime with CUDA and "
            "cuDNN (remove the package onnxruntime first). Or use --device cpu.",
        ) from None
    return GpuNetwork(session)
