"""What both wires share: the parts of the server, the key check, and the idempotency key."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.links import Links
from stemwatch.server.http.quota import Credit
from stemwatch.server.http.ratelimit import RateLimit
from stemwatch.server.http.submission import Submissions
from stemwatch.server.http.tickets import Tickets
from stemwatch.server.offer import Offer
from stemwatch.server.webhooks.outgoing import Callbacks
from stemwatch.server.webhooks.registrations import Registrations
from stemwatch.server.work.cleanup import Cleanup
from stemwatch.server.work.queue import Queue
from stemwatch.server.work.record import Record
from stemwatch.server.work.store import Store
from stemwatch.server.work.trial import Trial

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one server. `offer`: what it separates with; `key` None: none is asked for."""

    store: Store
    queue: Queue
    submissions: Submissions
    trial: Trial
    cleanup: Cleanup
    links: Links
    tickets: Tickets
    credit: Credit
    rate: RateLimit
    registrations: Registrations
    callbacks: Callbacks
    offer: Offer
    key: str | None

    @property
    def busy(self) -> int:
        """Jobs that wait or run."""
        return self.queue.waiting + self.queue.running

    def job(self, request: Request) -> Record:
        """The job that the request's path names; refused with 404 where there is none."""
        record = self.store.get(request.path_params["job_id"])
        if record is None:
            raise no_such_job()
        return record


def no_such_job() -> Refused:
    message = "There is no such job; results are kept for a while only."
    return Refused(404, message, code="JOB_NOT_FOUND")


def keyed(key: str | None, endpoint: Endpoint) -> Endpoint:
    """`endpoint` with a check of the key before anything else is read; refused with 401."""
    if key is None:
        return endpoint
    expected = f"Bearer {key}".encode()

    async def guarded(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, expected):
            raise Refused(
                401,
                "The API key is missing or wrong.",
                {"WWW-Authenticate": "Bearer"},
                code="INVALID_API_KEY" if given.startswith(b"Bearer ") else "MISSING_API_KEY",
            )
        return await endpoint(request)

    return guarded


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= 255 and key.isprintable()):
        raise Refused(422, "The Idempotency-Key must be 1 to 255 printable characters.")
    return key
