"""HTTP calls to one API with its key, and to storage without it; every answer bounded and timed."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlencode

import httpx

from stemwatch import __version__
from stemwatch.codes import Code
from stemwatch.errors import RetryLater, StemwatchError, Unconfirmed
from stemwatch.stemsplit.answers import Answer
from stemwatch.stemsplit.line.address_guard import Resolver, SocketBackend, resolve
from stemwatch.stemsplit.line.body import Body, FileBody
from stemwatch.stemsplit.line.download import Trust, fetch
from stemwatch.stemsplit.line.session import Session
from stemwatch.stemsplit.line.sockets import SocketStream
from stemwatch.stemsplit.line.standstill import Patience
from stemwatch.stemsplit.line.transport import (
    checked_base,
    checked_key,
    place,
    said,
    shown,
    tls_context,
)
from stemwatch.stemsplit.rate_headers import RateLimit, rate_limit

BODY_LIMIT = 1024 * 1024  # bytes of a JSON answer
ERROR_PATIENCE = 10.0  # seconds for an error's explanation; its status alone says what to do


async def _at_once() -> None:
    """The default `permit`: requests are not paced."""


class Calls:
    """One API at `base_url` with one key (None: a local server that wants none).

    Seconds: `connect_timeout` for a connection, `stall_timeout` while no byte of a small call or a
    stem moves, `upload_timeout` while none of an upload does, `answer_timeout` for the answer to it
    (long: giving up then costs a person's attention), `poll_timeout` for a whole small call. `tls`
    replaces the usual certificates. `on_rate_limit` hears what the API says of its request budget;
    `permit` is awaited by a wire before each further request of one step (the caller paces the
    first).
    """

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        upload_timeout: float = 300.0,
        answer_timeout: float = 300.0,
        poll_timeout: float = 30.0,
        connect_timeout: float = 10.0,
        stall_timeout: float = 60.0,
        resolver: Resolver = resolve,
        user_agent: str = f"stemwatch/{__version__}",
        tls: ssl.SSLContext | None = None,
        on_rate_limit: Callable[[RateLimit], None] | None = None,
        permit: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        self._base = checked_base(base_url)
        self._shown_base = place(self._base).rstrip("/")
        self._key = checked_key(key)
        self.upload_timeout = upload_timeout
        self.answer_timeout = answer_timeout
        self._poll_timeout = poll_timeout
        self._timeout = httpx.Timeout(stall_timeout, connect=connect_timeout)
        # An answer is timed as a whole, by the Patience of its request.
        self._upload_stalls = httpx.Timeout(upload_timeout, connect=connect_timeout, read=None)
        self._resolver = resolver
        self._user_agent = user_agent
        https = httpx.URL(self._base).scheme == "https"
        self._tls = tls or (tls_context() if https else None)
        self._on_rate_limit = on_rate_limit
        self.permit = permit
        self.trust = Trust.of(httpx.URL(self._base))
        self._api = self._session(SocketBackend(resolver=resolver), connections=8)
        # Storage never sees the key: a session of its own, through the address guard.
        self._storage = Session(
            SocketBackend(resolver=resolver, trusted=frozenset({self.trust.host})),
            tls=self._tls,
            connections=16,
            user_agent=user_agent,
            timeout=self._timeout,
        )

    async def aclose(self) -> None:
        await self._api.aclose()
        await self._storage.aclose()

    # -- the API ---------------------------------------------------------------------------

    async def get(self, path: str, **query: str | int) -> Answer:
        """One GET; raises RetryLater (`unreachable`) where there is no answer."""
        return await self.send("GET", f"{path}?{urlencode(query)}" if query else path)

    async def send(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Answer:
        """Make a call that costs nothing, so the caller may repeat it. Raises RetryLater."""
        where = f"{method} {self._shown(path)}"
        try:
            async with (
                asyncio.timeout(self._poll_timeout),
                self._api.stream(method, self._base + path, json=data) as response,
            ):
                return await self._read(response, where)
        except httpx.TransportError as exc:
            words = said(exc)
            raise unreachable(f"{where} got no answer: {words}.") from exc
        except TimeoutError:
            raise unreachable(f"{where} got no answer in {self._poll_timeout:g} s.") from None

    async def spend(
        self, path: str, body: Body, *, idempotency_key: str, patience: Patience
    ) -> Answer:
        """Make the POST that costs money. Raises Unconfirmed if it may have cost, else RetryLater.

        Each such POST has a connection of its own. A kept-alive connection might be closed by the
        server at that moment, and the body checks on this one whether the server still listens.
        """
        where = f"POST {self._shown(path)}"

        def connected(stream: SocketStream) -> None:
            body.stream = stream

        backend = SocketBackend(resolver=self._resolver, on_connect=connected)
        try:
            async with patience, AsyncExitStack() as stack:
                session = self._session(backend, connections=1)
                stack.push_async_callback(session.aclose)
                sending = session.stream(
                    "POST",
                    self._base + path,
                    content=body,
                    headers={**body.headers, "Idempotency-Key": idempotency_key},
                    timeout=self._upload_stalls,
                )
                return await self._read(await stack.enter_async_context(sending), where)
        except httpx.TransportError as exc:
            raise _unanswered(body, where, said(exc)) from exc
        except TimeoutError:
            if not patience.expired:  # a TimeoutError of the hold itself
                raise
            raise _unanswered(body, where, "it took too long") from None

    # -- storage ---------------------------------------------------------------------------

    async def put(self, url: str, body: FileBody) -> Answer:
        """Upload to a signed address, without the key. Raises Reject (`forbidden_url`), RetryLater.

        Redirects are answers like others: nothing follows them.
        """
        target = self.trust.check(url)
        where = f"PUT {place(target)}"
        try:
            async with (
                body.patience,
                self._storage.stream(
                    "PUT", target, content=body, headers=body.headers, timeout=self._upload_stalls
                ) as response,
            ):
                return await self._read(response, where)
        except httpx.TransportError as exc:
            words = said(exc)
            raise unreachable(f"{where} broke off: {words}.", _STALLS) from exc
        except TimeoutError:
            words = f"{where} stood still for {self.upload_timeout:g} s."
            raise unreachable(words, _STALLS) from None

    async def download(
        self,
        url: str,
        dest_fd: int,
        *,
        limit: int,
        deadline: float,
        on_received: Callable[[int], None],
    ) -> int:
        """Fetch a stem, as `interface.SeparationApi.download` promises."""
        return await fetch(
            self._storage,
            self.trust,
            url,
            dest_fd,
            limit=limit,
            deadline=deadline,
            on_received=on_received,
        )

    # -- answers ---------------------------------------------------------------------------

    async def _read(self, response: httpx.Response, where: str) -> Answer:
        body = bytearray()
        failed = response.status_code >= 400
        try:
            async with asyncio.timeout(ERROR_PATIENCE if failed else None):
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > BODY_LIMIT:
                        break
        except (httpx.TransportError, TimeoutError):
            if not failed:
                raise
        answer = Answer(
            status=response.status_code,
            headers=dict(response.headers),
            body=bytes(body[:BODY_LIMIT]),
            where=where,
            now=time.time(),
            secret=self._key,
        )
        if self._on_rate_limit and (told := rate_limit(answer.headers, answer.now)) is not None:
            self._on_rate_limit(told)
        return answer

    def _shown(self, path: str) -> str:
        return shown(self._shown_base + path.partition("?")[0])

    def _session(self, backend: SocketBackend, *, connections: int) -> Session:
        return Session(
            backend,
            tls=self._tls,
            connections=connections,
            user_agent=self._user_agent,
            timeout=self._timeout,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
        )


_STALLS = "Check the line; api.upload_timeout says how long an upload may stand still."


def _unanswered(body: Body, where: str, words: str) -> StemwatchError:
    """The fault of a POST without an answer: it may be charged only if its last bytes went out."""
    if body.whole:
        return Unconfirmed(f"{where} was sent whole and got no answer: {words}.")
    if body.stream is None:
        return unreachable(f"{where} could not connect: {words}.")
    return unreachable(f"{where} broke off before its end: {words}.", _STALLS)


def unreachable(message: str, hint: str = "") -> RetryLater:
    hint = hint or "Check the network and api.base_url; it is tried again by itself."
    return RetryLater(message, code=Code.UNREACHABLE, hint=hint, server_down=True)
