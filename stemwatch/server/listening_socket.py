"""Opens the listening socket, and gives the server's URLs."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from stemwatch.codes import Code
from stemwatch.errors import StemwatchError


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; `port` 0 takes a free one. Raises StemwatchError `listen`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # The protocol must be named: only then does asyncio turn off Nagle's delay (40 ms each).
        listener = socket.socket(family, kind, protocol)
    except OSError as fault:
        raise _cannot_listen(host, port, fault) from fault
    try:
        # So that a restart can take a port whose last connections linger in TIME_WAIT.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(256)
    except (OSError, OverflowError) as fault:
        listener.close()
        raise _cannot_listen(host, port, fault) from fault
    return listener


def base_url(listener: socket.socket) -> str:
    """The base URL of wire A on this machine, such as `http://127.0.0.1:8700/v1`."""
    host, port = listener.getsockname()[:2]
    return _url(host, port)


def urls_elsewhere(listener: socket.socket) -> list[str]:
    """The base URLs for other machines, where it listens on every address; else none."""
    host, port = listener.getsockname()[:2]
    if not ip_address(host).is_unspecified:
        return []
    names = dict.fromkeys((socket.gethostname(), _address_outward(listener.family)))
    return [_url(name, port) for name in names if name is not None]


def _address_outward(family: int) -> str | None:
    """The address from which this machine sends to others; None if it has none. Sends nothing."""
    target = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # reserved for examples
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((target, 9))
            return str(asked.getsockname()[0])
    except OSError:
        return None


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def _cannot_listen(host: str, port: int, fault: Exception) -> StemwatchError:
    return StemwatchError(
        f"Can't listen on {host} port {port}: {getattr(fault, 'strerror', None) or fault}.",
        hint="Choose another with --host or --port (0: any free one).",
        code=Code.LISTEN,
    )
