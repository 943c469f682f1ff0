"""Small networks of the real kinds, made of random numbers: the same for the same names and seed.

Files of them are written as `torch.save` writes them, without torch.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

State = Mapping[str, np.ndarray]


def random_state(shapes: Mapping[str, list[int]], seed: int) -> dict[str, np.ndarray]:
    """Float16 weights of these shapes, in their order, that let sound through."""
    chance = np.random.default_rng(seed)
    return {name: _tensor(name, shape, chance) for name, shape in shapes.items()}


def _tensor(name: str, shape: list[int], chance: np.random.Generator) -> np.ndarray:
    values = chance.normal(size=shape)
    if name.endswith(".scale"):
        values = 0.2 + 0.05 * values
    elif len(shape) == 1:
        values = 0.1 * values + (1.0 if name.endswith(("weight", "running_var")) else 0.0)
    else:
        values /= np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float16)


def torch_file(path: Path, state: State, settings: Mapping[str, Any], **more: Any) -> Path:
    """A `.th` as demucs publishes them; `settings` are the network's keyword arguments."""
    with _torch_by_name() as modules:
        package = {
            "klass": modules["demucs.htdemucs"].HTDemucs,
            "args": (),
            "kwargs": dict(settings),
            "state": OrderedDict((name, _Tensor(array)) for name, array in state.items()),
            "training_args": {"lr": 3e-4},
            **more,
        }
        content, storages = _pickled(package, modules)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for number, storage in enumerate(storages):
            archive.writestr(f"archive/data/{number}", storage)
    return path


class _Tensor:
    def __init__(self, array: np.ndarray) -> None:
        self.array = np.ascontiguousarray(array)


class _Storage:
    def __init__(self, tensor: _Tensor) -> None:
        self.tensor = tensor


def _pickled(package: Any, modules: Mapping[str, types.ModuleType]) -> tuple[bytes, list[bytes]]:
    storages: list[bytes] = []

    class Pickler(pickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if not isinstance(value, _Tensor):
                return NotImplemented
            steps = [step // value.array.itemsize for step in value.array.strides]
            rebuild = modules["torch._utils"]._rebuild_tensor_v2
            shape = value.array.shape
            return rebuild, (_Storage(value), 0, shape, tuple(steps), False, OrderedDict())

        def persistent_id(self, value: Any) -> Any:
            if not isinstance(value, _Storage):
                return None
            storages.append(value.tensor.array.tobytes())
            kind = modules["torch"].HalfStorage
            return "storage", kind, str(len(storages) - 1), "cpu", value.tensor.array.size

    out = io.BytesIO()
    Pickler(out, protocol=2).dump(package)
    return out.getvalue(), storages


@contextlib.contextmanager
def _torch_by_name() -> Iterator[dict[str, types.ModuleType]]:
    """Classes that pickle calls torch's and demucs'."""
    names = {
        "torch": ("HalfStorage",),
        "torch._utils": ("_rebuild_tensor_v2",),
        "demucs": (),
        "demucs.htdemucs": ("HTDemucs",),
    }
    before = {name: sys.modules.get(name) for name in names}
    modules = {name: types.ModuleType(name) for name in names}
    for module, classes in names.items():
        for one in classes:
            setattr(modules[module], one, type(one, (), {"__module__": module}))
        sys.modules[module] = modules[module]
    try:
        yield modules
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def segment(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as demucs takes them: a fraction where JSON has two numbers."""
    return {**settings, "segment": Fraction(*settings["segment"])}
