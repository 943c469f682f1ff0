"""Downloads one stem and writes its bytes to a file: without the key, from checked addresses."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

from stemwatch.codes import Code
from stemwatch.errors import PauseService, RetryLater
from stemwatch.stemsplit.answers import Answer, bad_answer, download_fault
from stemwatch.stemsplit.line.address_guard import forbidden
from stemwatch.stemsplit.line.session import Session
from stemwatch.stemsplit.line.transport import place, said

MAX_REDIRECTS = 3
_MOVED = frozenset({301, 302, 303, 307, 308})
_URL_LIMIT = 8192
_BLOCK = 512 * 1024  # bytes that are written at once ...
_PIECES = 512  # ... in at most so many pieces (the kernel takes 1024): a server may drip


@dataclass(frozen=True, slots=True)
class Trust:
    """The API's own host, as the user configured it; it alone may be private, or plain http."""

    host: str
    plain_http: bool

    @classmethod
    def of(cls, base: httpx.URL) -> Trust:
        return cls(host=_ascii_host(base), plain_http=base.scheme == "http")

    def check(self, url: str | httpx.URL) -> httpx.URL:
        """Return the URL parsed if its text allows a fetch; raises Reject (`forbidden_url`)."""
        if len(str(url)) > _URL_LIMIT:
            raise forbidden("it is too long.")
        try:
            parsed = httpx.URL(url)
            host = parsed.host  # decodes, and raises for an "xn--" that is none
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise forbidden("it can't be read.") from None
        if not host or not 0 < (parsed.port or 443) < 65536:
            raise forbidden("it names no host, or an impossible port.")
        if parsed.userinfo:
            raise forbidden("it carries a user name or a password.")
        own = parsed.scheme == "http" and _ascii_host(parsed) == self.host
        if own and not self.plain_http:
            raise forbidden(f"{place(parsed)} is not https.", _behind_a_proxy(parsed))
        if parsed.scheme != "https" and not own:
            raise forbidden(f"{place(parsed)} is not https.")
        return parsed.copy_with(fragment=None) if parsed.fragment else parsed


def _behind_a_proxy(url: httpx.URL) -> str:
    """What mends a server that is asked over https, and hands out its own URLs as plain http."""
    origin = f"https://{url.netloc.decode('ascii')}"
    return (
        "Its own server was asked over https. If that is a `stemwatch serve` behind a proxy, give "
        f"it `--public-url {origin}`; then `stemwatch retry`."
    )


def _ascii_host(url: httpx.URL) -> str:
    """The host as it is resolved: an international name in its ASCII form."""
    return url.raw_host.decode("ascii").lower()


async def fetch(
    session: Session,
    trust: Trust,
    url: str,
    dest_fd: int,
    *,
    limit: int,
    deadline: float,
    on_received: Callable[[int], None],
) -> int:
    """Write the body at `url` to `dest_fd` from its position on; returns its bytes.

    `limit` in bytes; `deadline` in seconds for everything, redirects included (httpx's own timeouts
    are per read: a server that drips would hold them off for ever).
    """
    try:
        async with asyncio.timeout(deadline):
            return await _follow(session, trust, url, dest_fd, limit, on_received)
    except httpx.RemoteProtocolError:
        raise RetryLater(f"{place(url)} broke off before its end.", code=Code.SHORT_BODY) from None
    except httpx.TransportError as exc:
        raise RetryLater(
            f"{place(url)} could not be fetched: {said(exc)}.",
            code=Code.NETWORK,
            server_down=True,
        ) from exc
    except httpx.InvalidURL:
        raise forbidden("it can't be read.") from None
    except TimeoutError:
        raise RetryLater(
            f"{place(url)} was not complete after {deadline:g} s.", code=Code.TOO_SLOW
        ) from None


async def _follow(
    session: Session,
    trust: Trust,
    url: str,
    dest_fd: int,
    limit: int,
    on_received: Callable[[int], None],
) -> int:
    current = trust.check(url)
    for _ in range(MAX_REDIRECTS + 1):
        async with session.stream("GET", current) as response:
            if response.status_code not in _MOVED:
                return await _store(response, dest_fd, limit, on_received)
            try:
                target = current.join(_location(response))
            except (httpx.InvalidURL, UnicodeError, ValueError):
                raise forbidden(f"{place(current)} redirects to what can't be read.") from None
            current = trust.check(target)
    raise RetryLater(
        f"{place(url)} redirects more than {MAX_REDIRECTS} times.", code=Code.REDIRECTED
    )


def _location(response: httpx.Response) -> str:
    """Where a redirect leads; raises UnicodeError."""
    moved = (value for name, value in response.headers.raw if name.lower() == b"location")
    return next(moved, b"").decode()


async def _store(
    response: httpx.Response, dest_fd: int, limit: int, on_received: Callable[[int], None]
) -> int:
    answer = Answer(
        status=response.status_code,
        headers=dict(response.headers),
        body=b"",  # a storage host's error page explains nothing and may hold the signature
        where=place(response.url),
        now=time.time(),
    )
    if response.status_code != 200:
        raise download_fault(answer)
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise bad_answer(answer, "compressed, which was not asked for")
    received, waiting = 0, 0
    pending: list[bytes] = []
    async for chunk in response.aiter_raw():
        received += len(chunk)
        if received > limit:
            raise RetryLater(
                f"{answer.where} sends more than the {limit} bytes that a stem can have.",
                code=Code.OVERSIZED_BODY,
            )
        pending.append(chunk)
        waiting += len(chunk)
        if waiting >= _BLOCK or len(pending) == _PIECES:
            # In a thread, as the outbox may be on a share that hangs. In blocks, as a thread for
            # each chunk costs much CPU.
            await _write_all(dest_fd, pending)
            pending, waiting = [], 0
        on_received(received)
    if pending:
        await _write_all(dest_fd, pending)
    if received == 0:
        raise RetryLater(f"{answer.where} is empty.", code=Code.SHORT_BODY)
    return received


async def _write_all(dest_fd: int, chunks: Sequence[bytes]) -> None:
    left = [memoryview(chunk) for chunk in chunks]
    while left:
        # One call a thread: while a share hangs, this may be cancelled and the file closed. A loop
        # in the thread would then go on in whatever file has that descriptor by now.
        written = await asyncio.to_thread(_write, dest_fd, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _write(dest_fd: int, chunks: Sequence[memoryview]) -> int:
    try:
        return os.writev(dest_fd, chunks)
    except OSError as exc:
        raise PauseService(
            f"A stem can't be written: {exc.strerror}.",
            code=Code.DISK,
            hint="Make room on the outbox's disk, or make it writable; work resumes by itself.",
        ) from exc
