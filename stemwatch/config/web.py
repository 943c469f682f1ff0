"""The service's own listener: addresses, host names and proxies as the file may give them."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from stemwatch.config.checks import each, text, texts, url_parts
from stemwatch.loopback import is_loopback

_LISTEN = "allowed is host:port, such as 127.0.0.1:8080, 0.0.0.0:8080 or '[::1]:8080'"
_PUBLIC = "allowed is a URL such as https://music.example.org"
FOR_EVERYBODY = "none"  # written out as `web.password_file`: everybody who can reach it is let in
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_HOST_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*):([0-9]{1,5})")


def host_port(value: str) -> tuple[str, int]:
    """The address and the port of `web.listen`; port 0 is any free one. Raises ValueError.

    A host name is refused: a name server decides its address, and may open us to the network.
    """
    found = _HOST_PORT.fullmatch(value)
    if found is None or int(found[2]) > 65535:
        raise ValueError(f"found {value!r}; {_LISTEN}")
    host = "127.0.0.1" if found[1] == "localhost" else found[1]
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        raise ValueError(f"found {value!r}; the host must be an address; {_LISTEN}") from None
    if isinstance(address, IPv6Address) != host.startswith("["):
        raise ValueError(f"found {value!r}; only an IPv6 address has brackets; {_LISTEN}")
    return str(address), int(found[2])


def checked_listen(value: Any) -> str:
    """Return `host:port` unchanged. A bare port is refused: it doesn't say who may connect."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"found {value}; {_LISTEN}")
    host_port(text(value))
    return text(value)


def checked_public_url(given: Any) -> str:
    """An https URL, or http to this machine. Without its trailing slash."""
    value = text(given)
    parts, host = url_parts(value, "an https URL", _PUBLIC)
    if "@" in parts.netloc or "?" in value or "#" in value:
        raise ValueError(f"must not have a user name, a query or a fragment; {_PUBLIC}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(f"must be https: webhooks to {host} would come unencrypted; {_PUBLIC}")
    return value.rstrip("/")


def checked_hosts(given: Any) -> tuple[str, ...]:
    """Names without a port, in small letters."""
    return each(_host, texts(given))


def _host(given: Any) -> str:
    name = text(given).lower()
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError(f"found {given!r}; allowed is a host's name such as nas.local, no port")
    return name.rstrip(".")


def checked_proxies(given: Any) -> tuple[str, ...]:
    """Addresses, or networks such as 10.0.0.0/8."""
    return each(_network, texts(given))


def _network(given: Any) -> str:
    try:
        return str(ip_network(text(given)))
    except ValueError:
        allowed = "allowed is an address such as 127.0.0.1, or a network such as 172.18.0.0/16"
        raise ValueError(f"found {given!r}; {allowed}") from None
