"""Which addresses may be connected to, and the httpcore backend that connects to no others.

A stem's URL comes from outside. Whoever can choose it must not be able to make a home server talk
to the home network, so every address that its name resolves to is checked, and the connection is
made to the very address that was checked: a name that resolves differently a moment later
(DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import httpcore

from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.stemsplit.line.sockets import SocketStream, reason

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# `is_global` lets these pass: it never looks at the IPv4 address, or the relay, inside them.
_TUNNELS = tuple(
    ipaddress.ip_network(net)
    for net in (
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local use
        "2002::/16",  # 6to4
        "2001::/32",  # Teredo
        "::/96",  # IPv4-compatible, deprecated
        "fec0::/10",  # site-local, deprecated
        "192.88.99.0/24",  # 6to4 relays
    )
)


def is_public(address: str) -> bool:
    """Whether this numeric address is a public unicast host; False for what can't be read."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    special = (
        ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback or ip.is_link_local
    )
    tunnel = any(ip.version == net.version and ip in net for net in _TUNNELS)
    return ip.is_global and not ip.is_private and not special and not tunnel


async def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a name, in the system's order of preference; raises OSError."""
    with suppress(ValueError):  # a numeric address needs no resolver, and so no thread
        return [str(ipaddress.ip_address(host))]
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class SocketBackend(httpcore.AsyncNetworkBackend):
    """Connects httpcore's pool through our own sockets.

    `trusted`: None connects anywhere (the API that the user configured); otherwise only these host
    names may have an address that is not public. `on_connect` sees each new stream.
    """

    def __init__(
        self,
        *,
        resolver: Resolver = resolve,
        trusted: frozenset[str] | None = None,
        on_connect: Callable[[SocketStream], None] | None = None,
    ) -> None:
        self._resolver = resolver
        self._trusted = trusted
        self._on_connect = on_connect

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002 - httpcore's signature
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> SocketStream:
        """Connect to the first checked address that answers; Reject if any address is forbidden."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._addresses(host, port)
                return await self._first(addresses, port, timeout)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout("no connection in time") from exc
        except (OSError, UnicodeError) as exc:
            words = reason(exc) if isinstance(exc, OSError) else "not a host name"
            raise httpcore.ConnectError(words) from exc

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> Sequence[str]:
        addresses = await self._resolver(host, port)
        if self._trusted is None or host.lower() in self._trusted:
            return addresses
        for address in addresses:
            if not is_public(address):
                raise forbidden(f"{host} resolves to {address}, which is not a public address.")
        return addresses

    async def _first(
        self, addresses: Sequence[str], port: int, timeout: float | None
    ) -> SocketStream:
        """Each address gets its share of the time: a dead IPv6 route must not use it all up."""
        last: OSError = OSError(errno.EADDRNOTAVAIL, "the name has no address")
        share = None if timeout is None else timeout / max(1, len(addresses))
        for address in addresses:
            try:
                async with asyncio.timeout(share):
                    stream = await _connect(address, port)
            except OSError as exc:  # TimeoutError is one
                last = exc
                continue
            if self._on_connect is not None:
                self._on_connect(stream)
            return stream
        raise last


async def _connect(address: str, port: int) -> SocketStream:
    """Connect to one numeric address; raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return SocketStream(sock)


_ALLOWED = (
    "Stems are fetched over https from public addresses only, or from the API's own host "
    "where that is a private one (api.base_url); then `stemwatch retry`."
)


def forbidden(why: str, hint: str = _ALLOWED) -> Reject:
    """The Reject for a stem's URL that must not be fetched; `hint` says what mends it."""
    return Reject(
        f"The stem's download address was refused: {why}",
        code=Code.FORBIDDEN_URL,
        hint=hint,
    )
