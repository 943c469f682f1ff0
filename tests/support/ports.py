"""A port on loopback that nobody listens on."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

# The kernel gives those from here on to whoever connects: one may be taken before it is used.
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Where that is nearly all of them: those below 1024 are root's, and browsers refuse many of them.
_GIVEN = max(20_000, int(_RANGE.read_text().split()[0]))
_PORTS = range(_GIVEN // 3, _GIVEN)
# Each process begins elsewhere: the golden ratio keeps those far apart that started together.
_FIRST = int(os.getpid() * 0.618034 % 1 * len(_PORTS))
_tried = itertools.cycle([*_PORTS[_FIRST:], *_PORTS[:_FIRST]])


def free_port() -> int:
    """One that no connection takes before it is used, and that is not given here twice."""
    for port in itertools.islice(_tried, len(_PORTS)):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:  # somebody has it
                continue
            return port
    raise AssertionError(f"none of {_PORTS} is free")
