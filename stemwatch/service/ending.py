"""The process's own end, which a thread in a share that hangs must not hold up."""

from __future__ import annotations

import os
import threading

_GRACE = 5.0  # seconds; all that matters is on the disk by now


def leave_soon(code: int) -> int:
    """To be called last of all: the process ends with `code`, soon and whatever its threads do.

    Python waits for its threads without end, and a call into a mount whose server is gone may
    never return. Returns `code`.
    """
    timer = threading.Timer(_GRACE, os._exit, (code,))
    timer.daemon = True
    timer.start()
    return code
