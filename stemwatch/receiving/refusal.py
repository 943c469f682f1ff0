"""The exception that becomes an error answer; each wire gives it its own form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException


class Refused(HTTPException):
    """A request is refused. `status_code` is wire A's; wire B may give another for it.

    `code` is wire B's error code (None: the usual one of the status); `more` are further fields of
    wire B's error.
    """

    def __init__(
        self,
        status_code: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        code: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status_code, detail, dict(headers) if headers else None)
        self.code = code
        self.more = more


class CutOff(Refused):
    """The body ends before it is whole."""


def no_room() -> Refused:
    return Refused(503, "The server's disk is full.", {"Retry-After": "60"})
