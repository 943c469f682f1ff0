"""Examines a settled file in one reading: its identity, missing bytes, SHA-256."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

from stemwatch.disks.hashing import sha256
from stemwatch.disks.opening import open_regular
from stemwatch.inbox import headers
from stemwatch.job import Identity


class Examined(NamedTuple):
    """`sha256` is None where it was not worth reading on: incomplete, or too large."""

    identity: Identity
    ctime_ns: int
    lack: headers.Lack | None
    sha256: str | None


def examine(
    path: str, max_bytes: int, patient: bool, given_up: threading.Event | None = None
) -> Examined:
    """Look at the file and hash it; raises what `open_regular` does.

    `patient`: anything that seems to be missing is told; else only what is missing for sure.
    `given_up`: set by whoever lost interest; then InterruptedError is raised soon.
    All in one visit to a thread: with one for each step, the visits were half the cost of taking
    in a small file. Whether the file changed meanwhile is for the caller to see.
    """
    fd = open_regular(path)
    try:
        status = os.fstat(fd)
        identity, changed = Identity.of(status), status.st_ctime_ns
        lack = headers.look(fd)
        if lack is not None and (patient or lack.sure):
            return Examined(identity, changed, lack, None)
        if identity.size > max_bytes:
            return Examined(identity, changed, None, None)
        return Examined(identity, changed, None, sha256(fd, identity.size, given_up))
    finally:
        os.close(fd)
