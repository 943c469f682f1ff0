"""Ends the process soon after the service, even if a thread hangs in a share."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable

_GRACE = 5.0  # seconds; all that matters is on the disk by now


async def then_leave(service: Awaitable[int]) -> int:
    """Await `service`, which comes last of all; returns its exit code, or raises its fault.

    Then the process ends soon, whatever its threads do. Python waits for its threads without end,
    and a call into a mount whose server is gone may never return.
    """
    code = 1  # of a service that ended by a fault: its manager starts it again
    try:
        code = await service
    finally:
        timer = threading.Timer(_GRACE, os._exit, (code,))
        timer.daemon = True
        timer.start()
    return code
