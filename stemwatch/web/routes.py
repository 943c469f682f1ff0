"""The listener's calls: /healthz, /readyz, /metrics and, with a receiver, the door for webhooks."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from stemwatch import __version__
from stemwatch.web.api.api_faults import CLOSE, FRESH
from stemwatch.web.backing import Broken
from stemwatch.web.health import Health
from stemwatch.web.metrics import MEDIA_TYPE, Metrics
from stemwatch.web.receiver import MAX_BODY, PATH, Receiver


def create_app(
    health: Health,
    metrics: Metrics,
    *,
    receive: Receiver | None,
    calls: dict[int, int],
    broken: Broken,
    page: Any = None,
) -> Starlette:
    """The ASGI application. `calls` counts the door's answers; `broken` is told of our own faults.

    Without `receive` there is no door: 404. `page`: the ASGI application for all other paths.
    """
    door = [Route(PATH, Door(receive, calls, broken).call, methods=["POST"])] if receive else []
    asked = Asked(health, metrics)

    async def failed(request: Request, fault: Exception) -> Response:
        # Where the parser has refused the rest of a request, our answer finds a closed door.
        if not request.scope["state"]["connection"].is_gone:
            broken(request.url.path, fault)
        return Response(status_code=500, headers=CLOSE)

    return Starlette(
        routes=[
            Route("/healthz", asked.healthz, methods=["GET"]),
            Route("/readyz", asked.readyz, methods=["GET"]),
            Route("/metrics", asked.metrics, methods=["GET"]),
            *door,
            *([Mount("", page)] if page is not None else []),
        ],
        exception_handlers={Exception: failed},
    )


class Asked:
    """What others ask of the service."""

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    async def healthz(self, _: Request) -> Response:
        """That this is answered is all it says: the event loop turns."""
        return JSONResponse({"status": "ok", "version": __version__}, headers=FRESH)

    async def readyz(self, _: Request) -> Response:
        reasons = self._health.reasons()
        return JSONResponse(
            {
                "status": "unready" if reasons else "ready",
                "version": __version__,
                "reasons": [asdict(reason) for reason in reasons],
                "pauses": [asdict(pause) for pause in self._health.pauses()],
            },
            status_code=503 if reasons else 200,
            headers=FRESH,
        )

    async def metrics(self, _: Request) -> Response:
        return Response(await self._metrics.text(), media_type=MEDIA_TYPE, headers=FRESH)


class Door:
    """Lets in what is small and whole; `guard` sees to it that it comes in time."""

    def __init__(self, receive: Receiver, calls: dict[int, int], broken: Broken) -> None:
        self._receive = receive
        self._calls = calls
        self._broken = broken

    async def call(self, request: Request) -> Response:
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        if body is None:
            return self._answer(413, CLOSE)
        try:
            status = self._receive(_joined(request), body)
        except Exception as fault:  # the sender tries again; polling goes on meanwhile
            self._broken(PATH, fault)
            status = 500
        return self._answer(status)

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> Response:
        self._calls[status] = self._calls.get(status, 0) + 1
        return Response(status_code=status, headers=headers)


async def _body(request: Request) -> bytes | None:
    """Byte for byte, as it was signed; None where it is, or says that it will be, too large."""
    if int(request.headers.get("content-length", "0")) > MAX_BODY:  # checked by the HTTP parser
        return None
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _joined(request: Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
