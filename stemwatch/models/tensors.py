"""Weights on disk: one plain `.safetensors` file a model, written whole or not at all.

Reading one runs nothing. What is read here was written here: checked all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemwatch.models.heads import DTYPES, broken, read_head

Array = NDArray[Any]

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write(path: str, tensors: Mapping[str, Array], notes: Mapping[str, str]) -> None:
    """Write it durably; `notes` gets `data_sha256`, the digest of the numbers. Raises OSError."""
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    digest, position = hashlib.sha256(), 0
    described: dict[str, Any] = {}
    for name, array in arrays.items():
        digest.update(array.data)
        end = position + array.nbytes
        described[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("<").str],
            "shape": list(array.shape),
            "data_offsets": [position, end],
        }
        position = end
    told = {**notes, "data_sha256": digest.hexdigest()}
    head = json.dumps({"__metadata__": told, **described}).encode()
    head += b" " * (-len(head) % 8)
    folder = os.path.dirname(path)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as file:
        try:
            file.write(struct.pack("<Q", len(head)) + head)
            for array in arrays.values():
                file.write(array.data)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def read(path: str) -> dict[str, Array]:
    """All tensors, as they lie in the file. Raises ConfigFault where a bit of it has changed."""
    head = read_head(path)
    with open(path, "rb") as file:
        file.seek(head.length)
        numbers = np.fromfile(file, np.uint8)
    if hashlib.sha256(numbers.data).hexdigest() != head.notes.get("data_sha256"):
        raise broken(path)
    return {
        name: numbers[first:last].view(dtype).reshape(shape)
        for name, (dtype, shape, first, last) in head.tensors.items()
    }
