"""Ends the process soon after the service, even if a thread hangs in a share."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

_GRACE = 5.0  # seconds

Tell = Callable[[BaseException], None]


def _told_already(fault: BaseException) -> None:
    """The service's parts tell how they ended."""


async def then_leave(service: Awaitable[int], tell: Tell = _told_already) -> int:
    """Await `service`, which comes last of all; returns its exit code, or raises its fault.

    Then the process ends soon, whatever its threads do. Python waits for its threads without end,
    and a call into a mount whose server is gone may never return. `tell` is given the fault then:
    nobody else comes to it.
    """
    code = 1  # of a service that ended by a fault: its manager starts it again
    met: BaseException | None = None
    try:
        code = await service
    except BaseException as fault:
        met = fault
        raise
    finally:
        timer = threading.Timer(_GRACE, _leave, (code, met, tell))
        timer.daemon = True
        timer.start()
    return code


def _leave(code: int, met: BaseException | None, tell: Tell) -> None:
    if met is not None:
        with suppress(Exception):
            tell(met)
    os._exit(code)
