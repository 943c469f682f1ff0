"""Examines a settled file in one reading: its identity, missing bytes, SHA-256s."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

from stemwatch.audio.soundhash.sounds import listener_for
from stemwatch.disks.hashing import sha256
from stemwatch.disks.opening import open_regular
from stemwatch.inbox import headers
from stemwatch.job import Identity


class Examined(NamedTuple):
    """What was seen of a file. `sha256` is None if it is incomplete, or too large to be read.

    `audio_sha256` is that of the sound alone; None: it can't be told from the rest.
    """

    identity: Identity
    ctime_ns: int
    lack: headers.Lack | None
    sha256: str | None
    audio_sha256: str | None = None


def examine(
    path: str, max_bytes: int, patient: bool, given_up: threading.Event | None = None
) -> Examined:
    """Check the file's header and hash it. Raises what `open_regular` does. Call it in a thread.

    `patient`: report any bytes that seem to be missing, otherwise only those that surely are.
    `given_up`: once the caller sets it, InterruptedError is raised soon.
    It is one call for all, since one trip to a thread per step was half the cost of admitting a
    small file. The caller has to check whether the file changed meanwhile.
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
        listener = listener_for(fd, identity.size)
        digest = sha256(fd, identity.size, given_up, also=listener.feed)
        return Examined(identity, changed, None, digest, listener.hexdigest())
    finally:
        os.close(fd)
