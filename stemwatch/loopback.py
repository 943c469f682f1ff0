"""Which hosts only this machine, or only its own network, can reach."""

from __future__ import annotations

from ipaddress import ip_address

# What no name in the public DNS ends in: routers and mDNS name what stands at home so.
HOME_SUFFIXES = (".localhost", ".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`: a name, or a numeric address without brackets."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
