"""Which hosts only this machine can reach."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`: a name, or a numeric address without brackets."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
