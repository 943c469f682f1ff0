"""A graph on the CPU, by OpenVINO: compiled once, kept beside its weights, loaded in a second.

Single precision is asked for: where a processor has AMX, OpenVINO would take bfloat16, which is
50 dB coarser.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from stemwatch.extras import NEURAL
from stemwatch.server.engines.neural.onnx_graph import Graph
from stemwatch.server.engines.spectral.stft import Array

COMPILED = ".blob"
BUILD = 1  # raise it when the graphs change: what was compiled from older ones is not used then


class CpuNetwork:
    """Runs a graph. One at a time: its results are only good until the next run."""

    def __init__(self, compiled: Any, memory: Any = None) -> None:
        self._request = compiled.create_infer_request()
        self._count = len(compiled.outputs)
        self._memory = memory  # OpenVINO reads from it, and doesn't keep it alive

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        found = self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)
        return [found[number] for number in range(self._count)]


def open_cpu(
    build: Callable[[], Graph], *, kept: str | None, digest: str, threads: int
) -> CpuNetwork:
    """The network of `build()`, which is called only if nothing usable lies in the folder `kept`.

    `digest` tells weights apart. Raises ConfigFault where OpenVINO is missing, whatever `build`
    raises, and RuntimeError of OpenVINO's.
    """
    NEURAL.require()
    openvino = _openvino()
    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,  # several workers would share a core and leave others idle
    }
    path = None
    if kept is not None:
        path = os.path.join(kept, _name(openvino.__version__, core, digest, threads))
        # Not there, empty, or nothing that OpenVINO can use
        with suppress(OSError, ValueError, RuntimeError):
            return _load(core, path, settings)
    model = core.read_model(b"".join(build().parts()))
    compiled = core.compile_model(model, "CPU", settings)
    if path is not None:
        with suppress(OSError):  # a folder that can't be written: then it is compiled each time
            _keep(path, compiled)
    return CpuNetwork(compiled)


def _openvino() -> Any:
    """The package, without its usage statistics: it would send some to its makers, unasked, from a
    process that it forks, which then holds our pipes open.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def _name(version: str, core: Any, digest: str, threads: int) -> str:
    """What was compiled is of use to the same OpenVINO on the same processor."""
    machine = (core.get_property("CPU", "FULL_DEVICE_NAME"),
               *sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")))  # fmt: skip
    of = hashlib.sha256("\n".join((str(BUILD), version, digest, *machine)).encode())
    return f"{digest[:16]}-{threads}-{of.hexdigest()[:16]}{COMPILED}"


def _load(core: Any, path: str, settings: Mapping[str, Any]) -> CpuNetwork:
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    tensor = _openvino().Tensor(np.frombuffer(mapped, np.uint8), shared_memory=True)
    compiled = core.import_model(tensor, "CPU", dict(settings))
    # It has its own, reordered copy of the weights now; 170 MB fewer are in memory without these
    mapped.madvise(mmap.MADV_DONTNEED)
    return CpuNetwork(compiled, tensor)


def _keep(path: str, compiled: Any) -> None:
    """Write it, in place of what an older OpenVINO or another processor left of these weights."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    same = name.rpartition("-")[0] + "-"
    for other in os.listdir(folder):
        if other.startswith(same) and other.endswith(COMPILED):
            os.unlink(os.path.join(folder, other))
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as file:
        try:
            file.write(compiled.export_model().getbuffer())
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
