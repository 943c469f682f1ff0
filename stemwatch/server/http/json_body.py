"""Reads a JSON body of bounded size, and checks its fields; a wrong one is refused by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection
from typing import Any

from starlette.requests import ClientDisconnect, Request

from stemwatch.receiving.refusal import Refused
from stemwatch.receiving.streaming import STALL

MAX_BODY = 65_536  # bytes
MAX_LEVELS = 32  # of objects and lists in one another: what writes them goes as deep


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; refused with 408, 413 above 64 KiB, or 422 for anything else."""
    body = bytearray()
    try:
        async with asyncio.timeout(STALL):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise Refused(413, "The body is larger than 64 KiB.", code="INVALID_REQUEST")
    except TimeoutError:
        raise Refused(408, f"The body did not come within {STALL:.0f} s.") from None
    except ClientDisconnect:
        raise Refused(400, "The connection broke.") from None  # nobody reads it
    try:
        value = json.loads(body)
        # Values that no answer can hold (infinity, half a surrogate pair) must not enter a job.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(422, "The body must be a JSON object.")
    if _deeper(value, MAX_LEVELS):
        raise Refused(422, f"The body is nested more than {MAX_LEVELS} levels deep.")
    return value


def _deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(one, levels - 1) for one in inner)


def text(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """A field of 1 to 4,096 characters; `default` if it is missing or null. Refused with 422."""
    value = body.get(name)
    value = default if value is None else value
    if not isinstance(value, str) or not 0 < len(value) <= 4_096:
        raise Refused(422, f"The field {name!r} must be text.")
    return value


def choice(body: dict[str, Any], name: str, known: Collection[str], default: str) -> str:
    """A field that is one of the `known` words; refused with 422."""
    value = text(body, name, default)
    if value not in known:
        raise Refused(422, f"The field {name!r} must be one of {', '.join(known)}.")
    return value
