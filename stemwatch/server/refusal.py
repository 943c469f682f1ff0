"""An answer that is no success, raised where it is found out; each wire says it in its own form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException


class Refused(HTTPException):
    """`status_code` is wire A's; `code` is wire B's word for it (None: the status's own).

    `more` are further fields of wire B's error.
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


def no_room() -> Refused:
    return Refused(503, "The server's disk is full.", {"Retry-After": "60"})
