"""Requests over our transport: httpx's requests and answers, without its client.

httpx's client adds cookies, redirects, and proxies and netrc from the environment. We want none of
these: each would have to be switched off, and together they cost a fifth of a small request's CPU.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from stemwatch.stemsplit.line.address_guard import SocketBackend
from stemwatch.stemsplit.line.transport import Transport


class Session:
    """One pool of connections, with the headers and timeouts that all its requests share."""

    def __init__(
        self,
        backend: SocketBackend,
        *,
        tls: ssl.SSLContext | None,
        connections: int,
        user_agent: str,
        timeout: httpx.Timeout,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._transport = Transport(backend, tls=tls, connections=connections)
        self._closed = False
        self._timeout = timeout
        self._headers = {
            "User-Agent": user_agent,  # the service's edge refuses library defaults
            "Accept": "*/*",
            # 48 KB of gzip became 50 MB: nothing that we fetch gains by it
            "Accept-Encoding": "identity",
            **(headers or {}),
        }

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        content: httpx.AsyncByteStream | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """Send one request; yields the answer, its body unread. Raises httpx.TransportError.

        A redirect is an answer like others: nothing follows it.
        """
        if self._closed:  # its pool would open connections that nobody closes
            raise RuntimeError("this session is closed")
        request = httpx.Request(
            method,
            url,
            content=content,
            json=json,
            headers={**self._headers, **(headers or {})},
            extensions={"timeout": (timeout or self._timeout).as_dict()},
        )
        response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            yield response
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        self._closed = True
        await self._transport.aclose()
