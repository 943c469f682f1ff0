"""What the API answers where it can't do what is asked: words, a stable code, and what mends it."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from stemwatch.codes import Code
from stemwatch.errors import PauseService, StemwatchError
from stemwatch.receiving.refusal import CutOff, Refused

FRESH = {"Cache-Control": "no-store"}
CLOSE = {"Connection": "close"}  # what is left of a refused body is not read
# Mends a song that is too large.
SMALLER = "Convert it to MP3 or M4A (a WAV: FLAC), or cut it into parts."
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    408: Code.TOO_SLOW,
    413: Code.TOO_LARGE,
    503: Code.DISK,
}


class Fault(Exception):
    """`status` with {"error": `words`, "code", "hint"} and what is in `more`."""

    def __init__(
        self,
        status: int,
        code: str,
        words: str,
        hint: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(words)
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"error": words, "code": code, "hint": hint, **more}

    def response(self) -> Response:
        return JSONResponse(self.body, self.status, {**FRESH, **self.headers})


def of(fault: StemwatchError) -> Fault:
    """What stemwatch itself could not do: a pause ends by itself, the rest needs somebody."""
    status = 503 if isinstance(fault, PauseService) else 409
    headers = {"Retry-After": "30"} if status == 503 else None
    return Fault(status, fault.code, fault.message, fault.hint, headers=headers)


def full(what: str) -> Fault:
    """No place is left for one more."""
    headers = {"Retry-After": "5", **CLOSE}
    return Fault(503, Code.BUSY, f"Too many {what} at once.", "Try again soon.", headers=headers)


async def known(_: Request, fault: Exception) -> Response:
    """The answer to a Fault."""
    assert isinstance(fault, Fault)
    return fault.response()


async def stemwatch_fault(_: Request, fault: Exception) -> Response:
    """The answer where a room below raised what it knows how to report."""
    assert isinstance(fault, StemwatchError)
    return of(fault).response()


async def http_fault(_: Request, fault: Exception) -> Response:
    """The answer to what the router, or the reader of a body, refused."""
    assert isinstance(fault, HTTPException)
    status = fault.status_code
    code = _CODES.get(status, Code.BAD_REQUEST)
    if isinstance(fault, Refused) and status == 422:
        status, code = 400, Code.TRUNCATED if isinstance(fault, CutOff) else "bad_form"
    words = fault.detail or HTTPStatus(status).phrase
    headers = {**(fault.headers or {}), **(CLOSE if status in (400, 408, 413, 415, 503) else {})}
    hint = SMALLER if status == 413 else ""
    return Fault(status, code, words, hint, headers=headers).response()


async def gone(_: Request, fault: Exception) -> Response:
    """Nobody reads it."""
    assert isinstance(fault, ClientDisconnect)
    return Response(status_code=400, headers=CLOSE)
