"""Wire B's calls to register, list and delete webhooks. The secret is shown once."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stemwatch.receiving.refusal import Refused
from stemwatch.server.http import json_body
from stemwatch.server.http.presigned.answers_b import moment
from stemwatch.server.http.requests import caller_of
from stemwatch.server.webhooks.registrations import EVENTS, Registration, Subscriptions, check_url

WIRE = "presigned"


class WebhooksB:
    """One method for each call; those of the other wire, or of another key, are not shown."""

    def __init__(self, webhooks: Subscriptions) -> None:
        self._webhooks = webhooks

    async def create(self, request: Request) -> Response:
        given = await json_body.read_object(request)
        url, events = json_body.text(given, "url"), given.get("events")
        check_url(url, "url")
        events = list(EVENTS) if events is None else events
        if not isinstance(events, list) or not events or any(one not in EVENTS for one in events):
            raise Refused(422, f"The field 'events' must be a list of {' and '.join(EVENTS)}.")
        made = await self._webhooks.subscribe(
            caller_of(request).name, WIRE, url, [one for one in EVENTS if one in events]
        )
        return JSONResponse({**_head(made), "secret": made.secret}, status_code=201)

    async def list(self, request: Request) -> Response:
        known = await self._webhooks.of(caller_of(request).name, WIRE)
        return JSONResponse({"webhooks": [_described(one) for one in known]})

    async def delete(self, request: Request) -> Response:
        webhook_id = request.path_params["webhook_id"]
        if not await self._webhooks.unsubscribe(caller_of(request).name, WIRE, webhook_id):
            raise Refused(404, "There is no such webhook.", code="WEBHOOK_NOT_FOUND")
        return JSONResponse({"deleted": True})


def _head(one: Registration) -> dict[str, Any]:
    return {
        "id": one.id,
        "url": one.url,
        "events": list(one.events),
        "isActive": True,
        "createdAt": moment(one.created_at),
    }


def _described(one: Registration) -> dict[str, Any]:
    return {
        **_head(one),
        "failCount": one.fail_count,
        "lastError": one.last_error,
        "lastCalledAt": moment(one.last_called_at),
    }
