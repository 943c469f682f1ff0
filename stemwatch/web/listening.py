"""The socket of `web.listen`, bound before the service starts: a taken port shows at once."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

from stemwatch.config import Web
from stemwatch.errors import ConfigFault
from stemwatch.extras import WEB
from stemwatch.log import hide
from stemwatch.loopback import is_loopback
from stemwatch.private_file import read_secret

_WHY = {
    errno.EADDRINUSE: "another program listens there",
    errno.EADDRNOTAVAIL: "this machine has no such address (now)",
    errno.EACCES: "ports below 1024 need a privilege that this account does not have",
}
BACKLOG = 256  # callers that may wait to be accepted


@contextmanager
def bound(web: Web) -> Iterator[socket.socket | None]:
    """The listening socket of `web.listen`; None where it is null. Raises ConfigFault."""
    if web.address is None:
        yield None
        return
    WEB.require()
    with closing(_bind(*web.address)) as listener:
        listener.listen(BACKLOG)
        yield listener


def looked_at(web: Web, *, running: bool) -> str | None:
    """What `check` says of it; None where there is nothing to say. Raises ConfigFault.

    `running`: our own service has the port, so it is not tried.
    """
    if web.address is None:
        return None
    WEB.require()
    if not running:
        _bind(*web.address).close()
    state = "the service that runs has it" if running else "free"
    seen = "this machine only" if is_loopback(web.address[0]) else "everybody who can reach it"
    told = f"web.listen {web.listen}: {state}; health and metrics are shown to {seen}"
    return f"{told}; {_page(web)}" if web.page else told


def _page(web: Web) -> str:
    if web.secret_file is not None:
        password_of(web)
        return "the page asks for the password of web.password_file"
    who = "everybody on this machine" if web.opened_by is None else "everybody"
    return f"the page is open to {who}"


def password_of(web: Web) -> str | None:
    """The first line of web.password_file; None: there is none. Raises ConfigFault."""
    path = web.secret_file
    if path is None:
        return None
    lines = read_secret(path, "web.password_file: ").splitlines()
    password = lines[0].strip() if lines else ""
    if not password:
        raise ConfigFault(
            f"web.password_file: {path} has no password on its first line.",
            hint="Write one there, or `password_file: none` to let everybody in.",
        )
    hide(password)
    return password


def url_of(listener: socket.socket) -> str:
    """Such as `http://127.0.0.1:8080`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named: asyncio turns Nagle's delay (40 ms an answer) off only then.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # A port whose last connections linger in TIME_WAIT is free for a restart.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as fault:
        listener.close()
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        why = _WHY.get(fault.errno or 0, fault.strerror)
        raise ConfigFault(
            f"web.listen: {shown} can't be used: {why}.",
            hint="Give web.listen another port or address, or null for none.",
        ) from fault
    return listener
