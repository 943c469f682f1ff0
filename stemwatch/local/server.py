"""The HTTP face: wire A of StemSplit, on this machine. Routes, the key, answers; no work."""

from __future__ import annotations

import hmac
import os
import re
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from stemwatch import __version__
from stemwatch.local.cleanup import Cleanup
from stemwatch.local.queue import Queue
from stemwatch.local.signing import Signer
from stemwatch.local.store import Record, Store
from stemwatch.local.submit import Submissions
from stemwatch.local.uploads import check_length

MEDIA_TYPES = {"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg"}
NO_WEBHOOKS = "This server calls no webhooks yet; poll GET /v1/jobs/{job_id} instead."
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes work with. `key`: None asks for none. `public_url`: None means Host."""

    store: Store
    queue: Queue
    submissions: Submissions
    cleanup: Cleanup
    signer: Signer
    engine: str
    key: str | None
    public_url: str | None


def create_app(service: Service) -> Starlette:
    """The ASGI application; every error is JSON `{"error": "<sentence>"}`."""
    routes = Routes(service)
    return Starlette(
        routes=[
            Route("/v1/separate", routes.keyed(routes.separate), methods=["POST"]),
            Route("/v1/jobs/{job_id}", routes.keyed(routes.job), methods=["GET"]),
            Route("/v1/files/{job_id}/{name}", routes.file, methods=["GET"]),
            Route("/v1/webhooks", routes.keyed(routes.webhooks), methods=["POST"]),
            Route("/v1/health", routes.health, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _refused, Exception: _broken},
    )


class Routes:
    """One method for each call of the API."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def keyed(self, endpoint: Endpoint) -> Endpoint:
        """Ask for the key before anything else is read."""
        if self._service.key is None:
            return endpoint
        expected = f"Bearer {self._service.key}".encode()

        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "").encode("latin-1", "replace")
            if not hmac.compare_digest(given, expected):
                raise HTTPException(
                    401, "The API key is missing or wrong.", {"WWW-Authenticate": "Bearer"}
                )
            return await endpoint(request)

        return guarded

    async def separate(self, request: Request) -> Response:
        service = self._service
        key = _idempotency_key(request)
        if (known := service.store.by_key(key)) is not None:
            return JSONResponse(_accepted(known))
        length = check_length(request.headers)
        with service.submissions.seat(service.queue.waiting + service.queue.running):
            if not await service.cleanup.has_room(length):
                raise HTTPException(503, "The server's disk is full.", {"Retry-After": "60"})
            content_type = request.headers.get("content-type", "")
            try:
                record, new = await service.submissions.receive(request.stream(), content_type, key)
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            if new:
                service.queue.put(record.id)
        return JSONResponse(_accepted(record), status_code=202 if new else 200)

    async def job(self, request: Request) -> Response:
        record = self._service.store.get(request.path_params["job_id"])
        if record is None:
            raise HTTPException(404, "There is no such job; results are kept for a while only.")
        return JSONResponse(self._described(record, self._base_url(request)))

    async def file(self, request: Request) -> Response:
        job_id, name = request.path_params["job_id"], request.path_params["name"]
        query = request.query_params
        fault = self._service.signer.fault(
            job_id, name, query.get("expires", ""), query.get("sig", "")
        )
        if fault is not None:
            raise HTTPException(403, fault)
        record = self._service.store.get(job_id)
        path = self._service.store.stem_path(record, name) if record else None
        if record is None or path is None or not os.path.isfile(path):
            raise HTTPException(404, "There is no such file any more.")
        return FileResponse(path, media_type=MEDIA_TYPES[record.format])

    async def webhooks(self, _: Request) -> Response:
        raise HTTPException(501, NO_WEBHOOKS)

    async def health(self, _: Request) -> Response:
        service = self._service
        return JSONResponse(
            {
                "status": "ok",
                "version": __version__,
                "engine": service.engine,
                "queued": service.queue.waiting,
                "running": service.queue.running,
            }
        )

    def _described(self, record: Record, base_url: str) -> dict[str, Any]:
        queue, done = self._service.queue, record.state == "completed"
        return {
            **_accepted(record),
            "progress": 1.0 if done else queue.progress(record.id),
            "queue_position": queue.position(record.id),
            "stems": {
                stem: base_url + self._service.signer.path(record.id, name)
                for stem, name in record.files.items()
            },
            "bpm": record.bpm,
            "key": record.key,
            "bpm_confidence": record.bpm_confidence,
            "key_confidence": record.key_confidence,
            "duration_seconds": record.duration,
            "error": record.error,
            "engine": record.engine,
        }

    def _base_url(self, request: Request) -> str:
        """Where the client reached us: behind a proxy or in a container we can't know it."""
        if self._service.public_url is not None:
            return self._service.public_url.rstrip("/").removesuffix("/v1")
        host = request.headers.get("host", "")
        if not _HOST.fullmatch(host):
            raise HTTPException(400, "The Host header is missing or malformed.")
        return f"{request.url.scheme}://{host}"


def _accepted(record: Record) -> dict[str, Any]:
    return {"job_id": record.id, "status": record.state}


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= 255 and key.isprintable()):
        raise HTTPException(422, "The Idempotency-Key must be 1 to 255 printable characters.")
    return key


async def _refused(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)
    return JSONResponse({"error": fault.detail}, fault.status_code, headers=fault.headers)


async def _broken(_: Request, fault: Exception) -> Response:
    traceback.print_exception(fault, limit=-5, file=sys.stderr)
    return JSONResponse({"error": "The server failed; its log says why."}, 500)
