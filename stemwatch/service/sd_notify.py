"""The notification protocol of systemd: one datagram for each message, without a library.

Without `$NOTIFY_SOCKET` every call does nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

Env = Mapping[str, str]
_ONCE = 1.0  # seconds that a message may wait which is not sent again


def notify(message: str, env: Env, *, wait: float = 0.0) -> bool:
    """Send `message`; False if the manager's queue is full, so that it can be sent again.

    Never raises: what nobody listens to is as good as sent.
    `wait`: the longest that a full queue holds up the caller, which is the event loop; seconds.
    """
    address = os.fsencode(env.get("NOTIFY_SOCKET", ""))
    if address[:1] not in (b"/", b"@"):
        return True
    if address.startswith(b"@"):  # the abstract namespace
        address = b"\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(wait)
            # An unconnected socket always looks writable: the wait would be spent in spinning.
            out.connect(address)
            out.send(os.fsencode(message))
    except (BlockingIOError, TimeoutError):
        return False
    except OSError:
        pass
    return True


def ready(env: Env) -> bool:
    """Started: the inbox is watched, its first scan is under way. Also the end of a reload."""
    return notify("READY=1", env, wait=_ONCE)


def reloading(env: Env, now: float) -> bool:
    """The configuration is read again; `ready` tells that it was. `now`: time.monotonic()."""
    return notify(f"RELOADING=1\nMONOTONIC_USEC={round(now * 1e6)}", env, wait=_ONCE)


def stopping(env: Env) -> bool:
    """Draining; systemd waits up to TimeoutStopSec from here."""
    return notify("STOPPING=1", env, wait=_ONCE)


def extend(seconds: float, env: Env) -> bool:
    """Ask for `seconds` more from now; longer takes another call."""
    return notify(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}", env)


def alive(env: Env) -> bool:
    """Send only while the service makes progress (`watchdog.Vital`), or a hang goes unnoticed."""
    return notify("WATCHDOG=1", env)


def status(text: str, env: Env) -> bool:
    """One line for `systemctl status`; a newline in a name must not become a second message."""
    return notify("STATUS=" + " ".join(text.split()), env)


def watchdog_seconds(env: Env, pid: int) -> float | None:
    """How often to send `alive`: half of what the manager allows. None: it doesn't watch us."""
    try:
        allowed = int(env.get("WATCHDOG_USEC", "0"))
        watched = int(env.get("WATCHDOG_PID", "") or pid)
    except ValueError:
        return None
    return allowed / 2e6 if allowed > 0 and watched == pid else None
