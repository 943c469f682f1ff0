"""The SHA-256 of a file, read through one small buffer."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable

# Sixteen threads may hash at once, and the memory of a thread's heap is seldom given back: with
# buffers of 1 MiB, ten songs at work took 66 MB of resident memory instead of 46.
_BUFFER = 64 * 1024


def sha256(
    fd: int,
    size: int,
    given_up: threading.Event | None = None,
    *,
    also: Callable[[memoryview], None] = lambda _: None,
) -> str:
    """Hex digest of the first `size` bytes, or of fewer if the file is shorter. Raises OSError.

    `given_up`: once the caller sets it, InterruptedError is raised soon. `also` is shown the same
    bytes, block by block, so that the file is read once.
    """
    digest, offset = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_BUFFER))
    while offset < size and (count := os.preadv(fd, [buffer[: size - offset]], offset)):
        if given_up is not None and given_up.is_set():
            raise InterruptedError
        digest.update(buffer[:count])
        also(buffer[:count])
        offset += count
    return digest.hexdigest()
