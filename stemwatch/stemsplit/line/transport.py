"""httpx over httpcore's pool with our own network backend.

Proxies and netrc from the environment are not honoured: a proxy would resolve names itself, past
the address guard, and would see where the key goes.
"""

from __future__ import annotations

import functools
import logging
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager

import httpcore
import httpx

from stemwatch.errors import ConfigFault
from stemwatch.stemsplit.line.address_guard import SocketBackend
from stemwatch.stemsplit.line.sockets import SocketStream

# httpx logs whole signed URLs at INFO, httpcore redirect targets at DEBUG.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# Bodies of this size or more bypass h11, which copies them three times. h11 then doesn't see the
# body's end, so the connection can't be used again: worth it for stems, not for small answers.
STRAIGHT_BYTES = 1024 * 1024
# Most specific first.
_MAPPED: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.TimeoutException, httpx.TimeoutException),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.NetworkError, httpx.NetworkError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.ProtocolError, httpx.ProtocolError),
)


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 through `backend`; `connections` bounds how many are open at once."""

    def __init__(
        self, backend: SocketBackend, *, tls: ssl.SSLContext | None, connections: int
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=15.0,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        with _as_httpx():
            response = await self._pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=url.raw_scheme,
                        host=url.raw_host,
                        port=url.port,
                        target=url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        assert isinstance(response.stream, AsyncIterable)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, request.extensions.get("timeout", {}).get("read")),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response, stall: float | None) -> None:
        self._response = response
        self._stall = stall

    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._response.extensions.get("network_stream")
        size = _plain_length(self._response)
        straight = isinstance(stream, SocketStream) and stream.body_follows
        with _as_httpx():
            if isinstance(stream, SocketStream) and straight and size >= STRAIGHT_BYTES:
                while size:
                    data = await stream.read_body(size, self._stall)
                    if not data:
                        raise httpcore.RemoteProtocolError("it broke off before its end")
                    size -= len(data)
                    yield data
            else:
                async for part in self._response.aiter_stream():
                    yield part

    async def aclose(self) -> None:
        await self._response.aclose()


def _plain_length(response: httpcore.Response) -> int:
    """The length of a 200's body by its one Content-Length; 0 where it is framed otherwise."""
    framing = [
        (name.lower(), value)
        for name, value in response.headers
        if name.lower() in {b"content-length", b"transfer-encoding"}
    ]
    if response.status != 200 or len(framing) != 1 or framing[0][0] != b"content-length":
        return 0
    return int(framing[0][1])  # h11 has checked that it is one


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except tuple(source for source, _ in _MAPPED) as exc:
        kind = next(target for source, target in _MAPPED if isinstance(exc, source))
        raise kind(str(exc)) from exc


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Certificates of certifi and of the system (a private CA on a home network lives there)."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def said(fault: httpx.TransportError) -> str:
    """The fault's message without its full stop; its class name where it has no message."""
    return str(fault).rstrip(".") or type(fault).__name__


def place(url: httpx.URL | str) -> str:
    """A URL for messages: scheme, host and path. Signed URLs carry their secret in the query."""
    try:
        parsed = httpx.URL(url)
        port = f":{parsed.port}" if parsed.port else ""
        text = f"{parsed.scheme}://{parsed.host}{port}{parsed.path}"
    except (httpx.InvalidURL, UnicodeError, ValueError):
        return "an unreadable address"
    return shown(text)


def shown(text: str) -> str:
    """`text` of an address made fit for messages: printable, at most 120 characters."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= 120 else clean[:119] + "…"


def checked_base(base_url: str) -> str:
    """The base without its trailing slash; raises ConfigFault."""
    try:
        url = httpx.URL(base_url)
        host = url.host  # decoded only now: a broken "xn--" name raises here
    except (httpx.InvalidURL, UnicodeError, ValueError):
        url, host = httpx.URL(""), ""
    impossible = not host or not 0 < (url.port or 443) < 65536
    if url.scheme not in {"http", "https"} or impossible or url.userinfo or url.query:
        raise ConfigFault(
            "api.base_url is not an http(s) address without user name or query.",
            hint="Example: https://api.stemsplit.io/v1",
        )
    return str(url.copy_with(fragment=None)).rstrip("/")


def checked_key(key: str | None) -> str | None:
    """The key, fit for a header; raises ConfigFault without showing it (httpx's error would)."""
    if key is not None and not (key.isascii() and key.isprintable() and key and " " not in key):
        raise ConfigFault(
            "The API key is empty or has characters that no key has (a space, a line end?).",
            hint="Put the key alone into api.key_file or $STEMSPLIT_API_KEY.",
        )
    return key
