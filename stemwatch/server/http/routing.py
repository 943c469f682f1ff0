"""The routes of both wires: each is an application with its own form of errors."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.load_metrics import load_metrics
from stemwatch.server.http.presigned.wire_b import WireB
from stemwatch.server.http.requests import Service, by_the_door
from stemwatch.server.http.wire_a import WireA
from stemwatch.server.work.records import Unavailable


def create_app(service: Service) -> Starlette:
    """The ASGI application: wire B below `/api/v1`, wire A below `/v1`, and `/metrics`."""
    wire_a, wire_b = WireA(service), WireB(service)
    mounts: list[BaseRoute] = [
        Route(
            "/metrics",
            by_the_door(service.callers, load_metrics(service.board)),
            methods=["GET"],
        ),
        Mount("/api/v1", app=_application(wire_b.routes(), wire_b.refused)),
        Mount("/v1", app=_application(wire_a.routes(), wire_a.refused)),
    ]
    return _application(mounts, wire_a.refused)


def _application(
    routes: Sequence[BaseRoute], answer: Callable[[HTTPException], Response]
) -> Starlette:
    async def refused(_: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        return answer(fault)

    async def broken(_: Request, fault: Exception) -> Response:
        traceback.print_exception(fault, limit=-5, file=sys.stderr)
        return answer(HTTPException(500, "The server failed; its log says why."))

    async def unavailable(_: Request, fault: Exception) -> Response:
        return answer(Refused(503, f"{fault}", {"Retry-After": "5"}))

    async def disk(_: Request, fault: Exception) -> Response:
        assert isinstance(fault, OSError)
        message = f"The server can't use its disk now: {fault.strerror or fault}."
        return answer(Refused(503, message, {"Retry-After": "60"}))

    return Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: refused,
            Unavailable: unavailable,
            OSError: disk,
            Exception: broken,
        },
    )
