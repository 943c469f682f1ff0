"""What both wires share: the parts of the server, the key check, and the idempotency key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.keyholders import Caller, Callers
from stemwatch.server.http.links import Links
from stemwatch.server.http.quota import Credit
from stemwatch.server.http.ratelimit import RateLimits
from stemwatch.server.http.submission import Submissions
from stemwatch.server.http.tickets import Tickets
from stemwatch.server.webhooks.registrations import Subscriptions
from stemwatch.server.work.cleanup import Cleanup
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.record import Record
from stemwatch.server.work.records import Board, Records
from stemwatch.server.work.trial import Trial

Endpoint = Callable[[Request], Awaitable[Response]]


class Shown(Protocol):
    """What `/v1/health` tells of the engine."""

    def told(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one server. `offer`: what it separates with.

    `busy`: how many jobs wait or run, as far as a limit of jobs needs it.
    """

    files: Files
    records: Records
    board: Board
    submissions: Submissions
    trial: Trial
    cleanup: Cleanup
    links: Links
    tickets: Tickets
    credit: Credit
    rate: RateLimits
    webhooks: Subscriptions
    callers: Callers
    offer: Shown
    busy: Callable[[], int]

    async def job(self, request: Request) -> Record:
        """The caller's job that the path names; refused with 404 where he has none."""
        record = await self.records.get(request.path_params["job_id"])
        if record is None or record.owner != caller_of(request).name:
            raise no_such_job()
        return record


def no_such_job() -> Refused:
    message = "There is no such job; results are kept for a while only."
    return Refused(404, message, code="JOB_NOT_FOUND")


def caller_of(request: Request) -> Caller:
    """Who called an endpoint that is `keyed`."""
    caller: Caller = request.state.caller
    return caller


def by_the_door(callers: Callers, endpoint: Endpoint) -> Endpoint:
    """`endpoint` for no website's page, where no key keeps it out; refused with 421 or 403."""

    async def guarded(request: Request) -> Response:
        if callers.door is not None:
            callers.door.check(request.headers)
        return await endpoint(request)

    return guarded


def keyed(callers: Callers, endpoint: Endpoint) -> Endpoint:
    """`endpoint` with a check of the key before anything else is read; refused with 401.

    Without a key, as of `by_the_door`.
    """

    async def guarded(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        request.state.caller = caller = callers.caller(given)
        if caller is None:
            raise Refused(
                401,
                "The API key is missing or wrong.",
                {"WWW-Authenticate": "Bearer"},
                code="INVALID_API_KEY" if given.startswith("Bearer ") else "MISSING_API_KEY",
            )
        return await endpoint(request)

    return by_the_door(callers, guarded)


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= 255 and key.isprintable()):
        raise Refused(422, "The Idempotency-Key must be 1 to 255 printable characters.")
    return key
