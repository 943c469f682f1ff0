"""A model's file becomes weights in the folder: its digest first, then what is in it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping

from stemwatch.errors import ConfigFault
from stemwatch.models import catalogue, checkpoints, tensors
from stemwatch.models.folder import Installed, look, path_of
from stemwatch.models.unpickling import Unreadable


def bring(file: str, folder: str, *, sha256: str | None = None) -> Installed:
    """Install the model that `file` holds, under the name of what it separates.

    Its SHA-256 must be a pinned one, or `sha256` where that is given. Raises ConfigFault.
    """
    with told(folder):
        found = digest(file)
        _check(file, found, sha256)
        try:
            held = checkpoints.read(file)
        except Unreadable as fault:
            raise ConfigFault(f"{file} is no model that stemwatch knows: {fault}.") from None
        os.makedirs(folder, exist_ok=True)
        path = path_of(folder, held.name)
        tensors.write(path, held.tensors, {**held.notes(), "sha256": found})
    installed = look(folder, held.name)
    assert installed is not None
    return installed


def digest(file: str) -> str:
    """Its SHA-256 in hex. Raises OSError."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _check(file: str, found: str, expected: str | None) -> None:
    if expected is not None and expected.lower() == found:
        return
    pinned: Mapping[str, str] = {one.sha256: one.name for one in catalogue.MODELS.values()}
    if expected is None and found in pinned:
        return
    if expected is not None:
        raise ConfigFault(
            f"{file} has the SHA-256 {found}, not {expected}.",
            hint="It is another file, or it was damaged on its way: get it again.",
        )
    raise ConfigFault(
        f"{file} has the SHA-256 {found}, which is none that stemwatch knows.",
        hint="If it is cut short, get it again. If you trust where it comes from, say so with "
        f"--sha256 {found}.",
    )


@contextlib.contextmanager
def told(folder: str) -> Iterator[None]:
    """An OSError inside of it becomes a ConfigFault that names the path."""
    try:
        yield
    except OSError as fault:
        raise ConfigFault(
            f"{fault.filename or folder}: {fault.strerror or fault}.",
            hint="Give another folder with --model-dir, or mend this one.",
        ) from None
