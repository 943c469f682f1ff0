"""The head of a model's file: names, types, shapes and places of its numbers, and our own notes.

The files are `.safetensors`: eight bytes of length, that much JSON, then the numbers. Imports
nothing heavy: a server looks at them at its start.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from typing import Any

from stemwatch.errors import ConfigFault

DTYPES = {"F16": "<f2", "F32": "<f4"}
_SIZES = {"<f2": 2, "<f4": 4}  # bytes
_LONGEST = 4 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself: `notes` are ours; `tensors` are type, shape, first, last byte."""

    notes: dict[str, str]
    tensors: dict[str, tuple[str, tuple[int, ...], int, int]]
    length: int  # bytes before the numbers


def read_head(path: str) -> Head:
    """The head, checked against the file's length. Raises ConfigFault, OSError."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        begin = file.read(8)
        length = struct.unpack("<Q", begin)[0] if len(begin) == 8 else 0
        if not 0 < length <= min(_LONGEST, size):
            raise broken(path)
        try:
            described = json.loads(file.read(length))
            notes = described.pop("__metadata__")
            tensors = {name: _tensor(one) for name, one in described.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise broken(path) from None
    if max((last for *_, last in tensors.values()), default=0) != size - 8 - length:
        raise broken(path)
    return Head(notes, tensors, 8 + length)


def _tensor(one: dict[str, Any]) -> tuple[str, tuple[int, ...], int, int]:
    dtype, shape = DTYPES[one["dtype"]], tuple(int(n) for n in one["shape"])
    first, last = one["data_offsets"]
    if first < 0 or last - first != math.prod(shape) * _SIZES[dtype]:
        raise ValueError
    return dtype, shape, first, last


def broken(path: str) -> ConfigFault:
    """For whoever finds out that a file is not what was written."""
    name = os.path.basename(path).partition(".")[0]
    return ConfigFault(
        f"{path} is damaged.",
        hint=f"Remove it and bring the model again: `stemwatch models fetch {name}`.",
    )
