"""By which name a request calls us (Host), and which site's page has sent it (Origin)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address

_PORT = re.compile(r":[0-9]{0,5}$")


def only(hosts: Sequence[str]) -> str:
    """The one Host of a request; "" for none, and for two: each reader might take another one."""
    return hosts[0] if len(hosts) == 1 else ""


def name_of(host: str) -> str:
    """A Host without its port and the root's dot, in lower case; an IPv6 address keeps brackets."""
    return _PORT.sub("", host.lower()).rstrip(".")


def is_address(name: str) -> bool:
    """Whether it is numeric: no website can lead an address to us, as it can lead its own name."""
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_own_origin(origin: str, host: str) -> bool:
    """Whether a page of `origin` is one that `host` served; `null` is nobody's."""
    name = host.lower()
    return name != "" and origin.lower() in (f"http://{name}", f"https://{name}")
