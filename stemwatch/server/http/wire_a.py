"""Wire A, `/v1`: the calls of the tutorial's API and their answers; the work is done elsewhere."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from stemwatch import __version__
from stemwatch.job import FORMATS, STEMS
from stemwatch.media_types import media_type
from stemwatch.receiving.multipart_in import OVERHEAD, Form
from stemwatch.receiving.refusal import Refused, no_room
from stemwatch.receiving.streaming import MAX_FILE, declared_length
from stemwatch.server.http import json_body
from stemwatch.server.http.answers_a import accepted, described
from stemwatch.server.http.requests import (
    Service,
    caller_of,
    idempotency_key,
    keyed,
    no_such_job,
)
from stemwatch.server.http.submission import Wanted
from stemwatch.server.webhooks.registrations import Signed, check_url

UNSIGNED = (
    "The field 'webhook_url' can't be served: nothing signs for it, and nothing is sent unsigned. "
    "Register the URL with POST /v1/webhooks, or start the server with --webhook-secret-file."
)


class WireA:
    """One method for each call; every error is `{"error": "<sentence>"}`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        callers = self._service.callers
        return [
            Route("/separate", keyed(callers, self.separate), methods=["POST"]),
            Route("/jobs/{job_id}", keyed(callers, self.job), methods=["GET"]),
            Route("/files/{job_id}/{name}", self.file, methods=["GET"]),
            Route("/webhooks", keyed(callers, self.register), methods=["POST"]),
            Route("/webhooks/{webhook_id}", keyed(callers, self.unregister), methods=["DELETE"]),
            Route("/health", self.health, methods=["GET"]),
        ]

    @staticmethod
    def refused(fault: HTTPException) -> Response:
        return JSONResponse({"error": fault.detail}, fault.status_code, headers=fault.headers)

    async def separate(self, request: Request) -> Response:
        service = self._service
        caller, key = caller_of(request), idempotency_key(request)
        if (known := await service.records.by_key(key, caller.name)) is not None:
            return JSONResponse(accepted(known))
        length = declared_length(request.headers, limit=MAX_FILE + OVERHEAD)
        base = service.links.base(request)
        signed = await service.webhooks.signed(caller.name)
        with service.submissions.seat(service.busy()):
            if not await service.cleanup.has_room(length or 0):
                raise no_room()
            content_type = request.headers.get("content-type", "")
            try:
                record, new = await service.submissions.receive(
                    request.stream(),
                    content_type,
                    lambda form: self._wanted(form, base, key, caller.name, signed),
                    service.credit.allowance(caller),
                )
            except ClientDisconnect:
                return Response(status_code=400)  # nobody reads it
            if new:
                service.board.put(record)
        return JSONResponse(accepted(record), status_code=202 if new else 200)

    async def job(self, request: Request) -> Response:
        service, record = self._service, await self._service.job(request)
        if record.state == "expired":
            raise no_such_job()
        answer = described(
            record,
            service.links,
            service.links.base(request),
            await service.board.standing(record),
        )
        return JSONResponse(answer)

    async def file(self, request: Request) -> Response:
        """A stem, for whoever holds its signed URL; wire B's stem URLs point here as well."""
        service = self._service
        job_id, name = request.path_params["job_id"], request.path_params["name"]
        fault = service.links.signer.fault(job_id, name, request.query_params)
        if fault is not None:
            raise Refused(403, fault)
        record = await service.records.get(job_id)
        path = service.files.stem_path(record, name) if record else None
        if record is None or path is None or not await asyncio.to_thread(service.files.holds, path):
            raise Refused(404, "There is no such file any more.")
        return FileResponse(path, media_type=media_type(path))

    async def register(self, request: Request) -> Response:
        """Register a URL to be called at every job's end; a URL is registered once."""
        url = json_body.text(await json_body.read_object(request), "url")
        check_url(url, "url")
        webhooks, owner = self._service.webhooks, caller_of(request).name
        same = [one for one in await webhooks.of(owner, "separate") if one.url == url]
        known = same[0] if same else await webhooks.subscribe(owner, "separate", url)
        answer = {"id": known.id, "url": known.url, "secret": known.secret}
        return JSONResponse(answer, status_code=200 if same else 201)

    async def unregister(self, request: Request) -> Response:
        """Delete a registration. Not in the tutorial, but a dead URL would be called for ever."""
        known, owner = request.path_params["webhook_id"], caller_of(request).name
        if not await self._service.webhooks.unsubscribe(owner, "separate", known):
            raise Refused(404, "There is no such webhook.")
        return JSONResponse({"deleted": True})

    async def health(self, _: Request) -> Response:
        """503 if the engine works with no song at all. Without a key, the reason is not shown.

        `no_room`: jobs wait until the disk has room, here or at a worker.
        """
        service = self._service
        able = service.trial.why is None
        load = await service.board.load()
        short = service.cleanup.waiting > 0 or any(one.get("no_room") for one in load.workers)
        return JSONResponse(
            {
                "status": "unable" if not able else "no_room" if short else "ok",
                "version": __version__,
                **service.offer.told(),
                "queued": load.waiting,
                "running": load.running,
                "oldest_waiting_seconds": load.oldest,
                "seats": load.seats,
                "workers": load.workers,
            },
            status_code=200 if able else 503,
        )

    def _wanted(self, form: Form, base: str, key: str | None, owner: str, signed: Signed) -> Wanted:
        if form.filename is None:
            raise Refused(422, "The file is missing: send it in the field 'audio'.")
        if form.size == 0:
            raise Refused(422, f"{form.filename!r} is empty.")
        stems, file_format = form.fields.get("stems"), form.fields.get("format")
        if stems not in {str(number) for number in STEMS}:
            raise Refused(422, "The field 'stems' must be 2, 4 or 6.")
        if file_format not in FORMATS:
            raise Refused(422, f"The field 'format' must be one of {', '.join(FORMATS)}.")
        webhook_url = form.fields.get("webhook_url") or None
        if webhook_url is not None:
            check_url(webhook_url, "webhook_url")
            if not signed(webhook_url):
                raise Refused(422, UNSIGNED)
        return Wanted(
            name=form.filename,
            stems=int(stems),
            format=file_format,
            origin=base,
            idempotency_key=key,
            owner=owner,
            webhook_url=webhook_url,
        )
