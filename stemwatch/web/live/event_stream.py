"""`GET /api/events`: server-sent events that carry the state, and the way to notice silence.

`snapshot` comes first unless the browser has seen a version of this process, and again where more
has gone than is remembered; `jobs` and `service` with what changed, at most four times a second;
`ping` every 15 seconds; `bye` when the service ends.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stemwatch.web.api import api_faults as faults
from stemwatch.web.live.state import TICK, Live
from stemwatch.web.long_requests import Full, LongRequests

PING = 15.0  # seconds without news
_RETRY = 2000  # milliseconds until a browser connects again
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would gather them
]


class Events:
    """The two ways to see the state: once, and as it changes."""

    def __init__(
        self, live: Live, long_requests: LongRequests, lasts: Callable[[Any], bool]
    ) -> None:
        self._live = live
        self._long_requests = long_requests
        self._lasts = lasts

    async def state(self, _: Request) -> Response:
        """A snapshot."""
        with self._live.watched():
            await self._live.ready()
            return JSONResponse(self._live.snapshot(), headers=faults.FRESH)

    async def events(self, request: Request) -> Stream:
        """The stream; `?last=` stands in for Last-Event-ID, which only a browser itself sends."""
        last = request.headers.get("last-event-id") or request.query_params.get("last", "")
        return Stream(self._live, self._long_requests, last, self._lasts)


class Stream:
    """ASGI: one stream, for as long as its reader and the service are there.

    `lasts` says of its scope whether the session that it was opened by has not ended.
    """

    def __init__(
        self,
        live: Live,
        long_requests: LongRequests,
        last: str,
        lasts: Callable[[Any], bool],
        ping: float = PING,
    ) -> None:
        self._live = live
        self._long_requests = long_requests
        self._last = last
        self._lasts = lasts
        self._ping = ping

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            address = scope["state"]["caller"].address
            with self._long_requests.stream(address), self._live.watched():
                scope["state"]["connection"].set_apart()
                sending = asyncio.create_task(self._send(scope, send))
                leaving = asyncio.create_task(_left(receive))
                both = (sending, leaving)
                try:
                    done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
                finally:
                    for task in both:
                        task.cancel()
                    await asyncio.wait(both)
        except Full:
            await faults.full("open pages").response()(scope, receive, send)

    async def _send(self, scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        async for event in self._events():
            if not self._lasts(scope):
                break
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _events(self) -> AsyncIterator[bytes]:
        live = self._live
        await live.ready()
        seen = self._seen()
        if seen is None:
            seen = live.version
            yield f"retry: {_RETRY}\n".encode() + _whole(live)
        while not live.closing:
            if seen == live.version and not await self._news():
                yield b"event: ping\ndata: {}\n\n"  # a comment would never reach a script
                continue
            # Below the floor, what is gone is not known any more.
            whole = seen < live.floor
            news = _whole(live) if whole else _news(live, seen, live.version)
            seen = live.version
            if news:
                yield news
            await asyncio.sleep(TICK)
        yield b"event: bye\ndata: {}\n\n"

    async def _news(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._ping):
                await self._live.changed()
                return True
        return False

    def _seen(self) -> int | None:
        """The version that the browser has; None: it needs all of it."""
        boot, _, version = self._last.partition("-")
        if boot != self._live.boot or not version.isdecimal():
            return None
        seen = int(version)
        return seen if self._live.floor <= seen <= self._live.version else None


def _whole(live: Live) -> bytes:
    return _event(live, "snapshot", live.snapshot(), live.version)


@lru_cache(maxsize=2)
def _news(live: Live, seen: int, version: int) -> bytes:
    """What changed since `seen`, at `version`; written once for all who have seen the same."""
    jobs, gone, service = live.since(seen)
    changed = _event(live, "jobs", {"jobs": jobs, "gone": gone}, version)
    news = changed if jobs or gone else b""
    return news if service is None else news + _event(live, "service", service, version)


def _event(live: Live, name: str, data: Any, version: int) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {live.boot}-{version}\nevent: {name}\ndata: {text}\n\n".encode()


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
