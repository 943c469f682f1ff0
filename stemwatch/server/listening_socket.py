"""The listening socket, bound before anything heavy is loaded: a taken port shows at once."""

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
        # With its protocol named: asyncio turns Nagle's delay (40 ms an answer) off only then.
        listener = socket.socket(family, kind, protocol)
    except OSError as fault:
        raise _cannot_listen(host, port, fault) from fault
    try:
        # A port whose last connections linger in TIME_WAIT is free for a restart.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(256)
    except (OSError, OverflowError) as fault:
        listener.close()
        raise _cannot_listen(host, port, fault) from fault
    return listener


def base_url(listener: socket.socket) -> str:
    """Such as `http://127.0.0.1:8700/v1`."""
    host, port = listener.getsockname()[:2]
    return _url(host, port)


def urls_elsewhere(listener: socket.socket) -> list[str]:
    """What other machines may call it by, where it listens on every address; else nothing."""
    host, port = listener.getsockname()[:2]
    if not ip_address(host).is_unspecified:
        return []
    names = dict.fromkeys((socket.gethostname(), _address_outward(listener.family)))
    return [_url(name, port) for name in names if name is not None]


def _address_outward(family: int) -> str | None:
    """The address by which this machine goes out; nothing is sent for that."""
    target = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # nobody's, for examples
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asked:
            asked.connect((target, 9))
            return str(asked.getsockname()[0])
    except OSError:
        return None


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cannot_listen(host: str, port: int, fault: Exception) -> StemwatchError:
    return StemwatchError(
        f"Can't listen on {host} port {port}: {getattr(fault, 'strerror', None) or fault}.",
        hint="Choose another with --host or --port (0: any free one).",
        code=Code.LISTEN,
    )
