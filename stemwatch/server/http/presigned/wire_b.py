"""Wire B, `/api/v1`: the calls of StemSplit's OpenAPI document and their answers."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stemwatch.media_types import media_type
from stemwatch.receiving.multipart_in import plain_name
from stemwatch.receiving.refusal import Refused, no_room
from stemwatch.receiving.streaming import MAX_FILE, declared_length
from stemwatch.server.http import json_body
from stemwatch.server.http.presigned import answers_b as answers
from stemwatch.server.http.presigned.webhooks_b import WebhooksB
from stemwatch.server.http.quota import UNLIMITED
from stemwatch.server.http.requests import (
    Endpoint,
    Service,
    caller_of,
    idempotency_key,
    keyed,
)
from stemwatch.server.http.submission import Wanted
from stemwatch.server.work.record import Record

# Wire B answers each fault of a request with 400, and each kind of refusal with a code.
STATUSES = {409: 400, 413: 400, 415: 400, 422: 400}
CODES = {
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    411: "LENGTH_REQUIRED",
    415: "UNSUPPORTED_FORMAT",
    429: "RATE_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "SERVICE_UNAVAILABLE",
}
UPLOADS = "/api/v1/uploads"  # where upload URLs point
INSTRUCTIONS = {
    "step1": "PUT the file to uploadUrl with this Content-Type and a Content-Length.",
    "step2": "POST /api/v1/jobs with the uploadKey.",
    "note": "The URL is signed: send no Authorization to it.",
}
PAGE, LONGEST_PAGE = 20, 100  # jobs in a list
_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)


class WireB:
    """One method for each call; every error is `{"error": {"code", "message"}}`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        hooks = WebhooksB(self._service.webhooks)
        return [
            Route("/upload", self._guarded(self.upload), methods=["POST"]),
            Route("/uploads/{upload}/{name}", self.put, methods=["PUT"]),
            Route("/jobs", self._guarded(self.create), methods=["POST"]),
            Route("/jobs", self._guarded(self.jobs), methods=["GET"]),
            Route("/jobs/{job_id}", self._guarded(self.job), methods=["GET"]),
            Route("/balance", self._guarded(self.balance), methods=["GET"]),
            Route("/webhooks", self._guarded(hooks.create), methods=["POST"]),
            Route("/webhooks", self._guarded(hooks.list), methods=["GET"]),
            Route("/webhooks/{webhook_id}", self._guarded(hooks.delete), methods=["DELETE"]),
        ]

    @staticmethod
    def refused(fault: HTTPException) -> Response:
        given = fault if isinstance(fault, Refused) else Refused(fault.status_code, fault.detail)
        code = given.code or CODES.get(fault.status_code, "INVALID_REQUEST")
        error = {"code": code, "message": fault.detail, **given.more}
        status = STATUSES.get(fault.status_code, fault.status_code)
        return JSONResponse({"error": error}, status, headers=fault.headers)

    def _guarded(self, endpoint: Endpoint) -> Endpoint:
        """Check the key, then the rate; each answer to a call with the key tells what is left."""

        async def metered(request: Request) -> Response:
            headers = self._service.rate.take(caller_of(request))
            try:
                answer = await endpoint(request)
            except HTTPException as fault:
                answer = self.refused(fault)
            answer.headers.update(headers)
            return answer

        return keyed(self._service.callers, metered)

    async def upload(self, request: Request) -> Response:
        """A ticket to send one file."""
        given = await json_body.read_object(request)
        name = plain_name(json_body.text(given, "filename"))
        guessed = media_type(name)
        content_type = json_body.text(given, "contentType", guessed)
        if not _TYPE.fullmatch(content_type):
            raise Refused(422, "The field 'contentType' must be like audio/mpeg.")
        if not await self._service.cleanup.has_room(0):
            raise no_room()  # now, not after the client has sent it all
        ticket = self._service.tickets.issue(name, content_type)
        return JSONResponse(
            {
                "uploadUrl": self._service.links.base(request) + ticket.path,
                "uploadKey": ticket.key,
                "expiresAt": answers.moment(ticket.expires),
                "maxFileSizeBytes": MAX_FILE,
                "maxFileSizeMb": MAX_FILE >> 20,
                "contentType": content_type,
                "instructions": INSTRUCTIONS,
            }
        )

    async def put(self, request: Request) -> Response:
        """Receive the file at its signed URL, without the key, as a storage service does."""
        service, headers = self._service, request.headers
        upload, name = request.path_params["upload"], request.path_params["name"]
        content_type = headers.get("content-type", "")
        service.tickets.check(upload, name, request.query_params, content_type)
        if "authorization" in headers:
            raise Refused(400, "The URL is signed: send no Authorization, above all not the key.")
        length = declared_length(headers, limit=MAX_FILE)
        if length is None:
            raise Refused(411, "The Content-Length is missing.")
        if length == 0:
            raise Refused(400, "The file is empty.")
        if not await service.cleanup.has_room(length):
            raise no_room()
        try:
            await service.tickets.receive(upload, name, request.stream())
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        return Response()

    async def create(self, request: Request) -> Response:
        """Make a job of an upload; the same call again gives the same job."""
        service = self._service
        given = await json_body.read_object(request)
        base, key = service.links.base(request), idempotency_key(request)
        upload_key = _upload_key(given)
        # An upload is used once, so it names its job as well as a key would.
        caller = caller_of(request)
        wanted = _wanted(given, upload_key, base, key or f"upload:{upload_key}", caller.name)
        record = await service.records.by_key(wanted.idempotency_key, caller.name)
        if record is None:
            record = await self._made(upload_key, wanted, service.credit.allowance(caller))
        elif key is None and not _same(record, wanted):
            raise Refused(422, f"The upload was used by {record.id} already; send the file again.")
        answer = answers.created(record, await service.board.standing(record))
        return JSONResponse(answer, status_code=201)

    async def job(self, request: Request) -> Response:
        service, record = self._service, await self._service.job(request)
        answer = answers.detailed(
            record,
            service.links,
            service.links.base(request),
            await service.board.standing(record),
            keep=service.cleanup.keep,
        )
        return JSONResponse(answer)

    async def jobs(self, request: Request) -> Response:
        """One page of the jobs, newest first."""
        query = request.query_params
        limit = _number(query.get("limit"), "limit", PAGE, 1, LONGEST_PAGE)
        offset = _number(query.get("offset"), "offset", 0, 0, 10**9)
        wanted = query.get("status")
        if wanted is not None and wanted not in answers.STATUSES:
            raise Refused(422, f"The status must be one of {', '.join(answers.STATUSES)}.")
        state = None if wanted is None else answers.STATUSES[wanted]
        shown, total = await self._service.board.page(caller_of(request).name, state, limit, offset)
        return JSONResponse(
            {
                "jobs": [answers.listed(record, standing) for record, standing in shown],
                "pagination": {
                    "total": total,
                    "limit": limit,
                    "offset": offset,
                    "hasMore": offset + limit < total,
                },
            }
        )

    async def balance(self, request: Request) -> Response:
        left = await self._service.credit.balance(caller_of(request))
        words = "unlimited" if left == UNLIMITED else f"{left // 60} min {left % 60} s"
        return JSONResponse(
            {
                "balanceSeconds": left,
                "balanceMinutes": left // 60,
                "balanceFormatted": words,
                "updatedAt": answers.moment(time.time()),
            }
        )

    async def _made(self, upload_key: str, wanted: Wanted, allowance: int | None) -> Record:
        service = self._service
        with service.submissions.seat(service.busy()):
            try:
                path = await asyncio.to_thread(service.tickets.find, upload_key)
            except Refused:
                if not await asyncio.to_thread(service.tickets.was_sent, upload_key):
                    raise
                return await service.submissions.quicker(wanted)
            try:
                record, new = await service.submissions.adopt(path, wanted, allowance)
            except Refused as fault:
                if fault.status_code == 402:  # nobody sells credit here: the URL tells what is left
                    fault.more["purchaseUrl"] = f"{wanted.origin}/api/v1/balance"
                raise
            if new:
                service.board.put(record)
        return record


def _upload_key(given: dict[str, Any]) -> str:
    for absent in ("sourceUrl", "callbackUrl"):
        if given.get(absent) is not None:
            raise Refused(422, f"This server doesn't know the field {absent!r}.")
    return json_body.text(given, "uploadKey")


def _wanted(given: dict[str, Any], upload_key: str, base: str, key: str, owner: str) -> Wanted:
    kind = json_body.choice(given, "outputType", answers.OUTPUT_TYPES, "BOTH")
    quality = json_body.choice(given, "quality", answers.QUALITIES, "BEST")
    if kind == "SIX_STEMS" and quality != "BEST":
        raise Refused(422, "SIX_STEMS needs the quality BEST.")
    metadata = given.get("metadata")
    if not isinstance(metadata, dict | None):
        raise Refused(422, "The field 'metadata' must be an object.")
    stems, only = answers.OUTPUT_TYPES[kind]
    return Wanted(
        name=plain_name(json_body.text(given, "fileName", upload_key)),
        stems=stems,
        only=only,
        format=json_body.choice(given, "outputFormat", answers.FORMATS, "MP3").lower(),
        quality=quality,
        metadata=metadata,
        origin=base,
        idempotency_key=key,
        owner=owner,
    )


def _same(record: Record, wanted: Wanted) -> bool:
    names = ("name", "stems", "only", "format", "quality")
    return all(getattr(record, name) == getattr(wanted, name) for name in names)


def _number(given: str | None, name: str, default: int, least: int, most: int) -> int:
    if given is None:
        return default
    if not given.isdecimal() or len(given) > 9 or not least <= int(given) <= most:
        raise Refused(422, f"The {name} must be a number from {least} to {most}.")
    return int(given)
