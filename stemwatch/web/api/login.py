"""`POST /api/login` and `/api/logout`: a password for a cookie."""

from __future__ import annotations

import asyncio
import json

from starlette.requests import Request
from starlette.responses import Response

from stemwatch.codes import Code
from stemwatch.web.api.api_faults import CLOSE, FRESH, Fault
from stemwatch.web.guard.password import TooOften
from stemwatch.web.guard.shield import Access, too_often

MAX_BODY = 16 * 1024  # bytes of JSON


class Login:
    """The two calls."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def login(self, request: Request) -> Response:
        """204 with a cookie; 401 for another password, 429 after five of them."""
        given = (await body_of(request)).get("password")
        if not isinstance(given, str):
            raise Fault(400, Code.BAD_REQUEST, 'Send {"password": "..."}.')
        caller, access = request.scope["state"]["caller"], self._access
        if access.password is None or access.sessions is None:
            return Response(status_code=204, headers=FRESH)
        try:
            if not await access.password.right(given, caller.address):
                words = "This is not the password."
                raise Fault(401, "wrong_password", words, "It is in web.password_file.")
        except TooOften as fault:
            raise too_often(fault) from fault
        token = await asyncio.to_thread(access.sessions.begin)
        cookie = access.set_cookie(request.scope, caller, token)
        return Response(status_code=204, headers={**FRESH, "Set-Cookie": cookie})

    async def logout(self, request: Request) -> Response:
        """204, and the cookie is worth nothing any more."""
        access, caller = self._access, request.scope["state"]["caller"]
        if access.sessions is not None:
            await asyncio.to_thread(access.sessions.end, access.token(request.scope))
        cookie = access.set_cookie(request.scope, caller, "")
        return Response(status_code=204, headers={**FRESH, "Set-Cookie": cookie})


async def body_of(request: Request) -> dict[str, object]:
    """A small JSON object; nothing sent is an empty one. Raises Fault."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise Fault(413, Code.TOO_LARGE, "This is too long.", headers=CLOSE)
    try:
        found = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError):  # three thousand brackets are the latter
        found = None
    if not isinstance(found, dict):
        raise Fault(400, Code.BAD_REQUEST, "The body must be a JSON object.")
    return found
