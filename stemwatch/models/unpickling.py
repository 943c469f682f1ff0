"""A pickle read without running anything in it: nothing it names is ever imported.

Model files are pickles inside a zip, and a pickle is a program. This reader knows the few names
that weights are made of, each as a function of ours. Any other name becomes an `Inert`, which
takes whatever it is given and does nothing.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from stemwatch.models.tensors import Array

LARGEST = 1 << 30  # bytes in all: a file may claim any size
_STORAGES = {"HalfStorage": "<f2", "FloatStorage": "<f4", "LongStorage": "<i8"}


class Unreadable(ValueError):
    """The file is no such archive, is cut short, or doesn't add up."""


class Inert:
    """Stands for a class that this reader doesn't know. It holds its state and has no behaviour."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, _key: Any, _value: Any) -> None:
        return

    def append(self, _value: Any) -> None:
        return

    def extend(self, _values: Any) -> None:
        return


class NumpyArray(Inert):
    """An array as numpy pickles one; `state` is (version, shape, dtype, Fortran order, bytes)."""

    def array(self) -> Array:
        """Raises Unreadable for anything but a float32 in C order."""
        try:
            _, shape, dtype, fortran, content = self.state
            if fortran or not isinstance(dtype, _Dtype) or dtype.name != "f4":
                raise Unreadable("an array of another type than float32")
            return np.frombuffer(content, "<f4").reshape(shape)
        except (TypeError, ValueError) as fault:
            raise Unreadable(f"an array that doesn't add up ({fault})") from None


class _Dtype(Inert):
    def __init__(self, name: Any = "", *_: Any) -> None:
        super().__init__()
        self.name = name


class _Storage:
    """A storage class of torch's; an archive's `data/<key>` holds its numbers."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


def read_archive(archive: zipfile.ZipFile) -> Any:
    """The object in a file that `torch.save` wrote; tensors are arrays, as they lie in the file.

    Raises Unreadable.
    """
    try:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > LARGEST:
            raise Unreadable("it claims to be larger than any model")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise Unreadable("it is compressed, as no file of torch's is")
        (pickled,) = (e.filename for e in entries if e.filename.endswith("/data.pkl"))
        root = pickled.removesuffix("data.pkl")
        return _Reader(archive.read(pickled), lambda key: archive.read(f"{root}data/{key}")).load()
    except Unreadable:
        raise
    # Whatever a damaged file makes of the reader: RecursionError, struct.error, BadZipFile ...
    except Exception as fault:
        raise Unreadable(f"{type(fault).__name__}: {fault}") from None


class _Reader(pickle.Unpickler):
    def __init__(self, content: bytes, stored: Callable[[str], bytes]) -> None:
        super().__init__(io.BytesIO(content))
        self._stored = stored

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _Storage(_STORAGES[name])
        return _KNOWN.get((module, name), Inert)

    def persistent_load(self, pid: Any) -> Array:
        _, storage, key, _, count = pid
        if not isinstance(storage, _Storage):
            raise Unreadable("numbers of a type that no model has")
        return np.frombuffer(self._stored(str(key)), storage.dtype, count=count)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
    """A view into a storage, as `torch._utils._rebuild_tensor_v2` makes one; never beyond it."""
    if not isinstance(storage, np.ndarray) or len(size) != len(stride) or len(size) > 8:
        raise Unreadable("a tensor without numbers")
    if min([offset, *size, *stride], default=0) < 0:
        raise Unreadable("a tensor with a negative size")
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
    if math.prod(size) and reach > len(storage):
        raise Unreadable("a tensor that is larger than its numbers")
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise Unreadable("bytes in an unknown encoding")
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("fractions", "Fraction"): Fraction,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: NumpyArray(),
    ("numpy", "ndarray"): NumpyArray,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}
