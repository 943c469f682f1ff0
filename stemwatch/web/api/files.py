"""Files as answers: ranges, 304, and a memory that stays flat whatever their size."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from stemwatch.log import log
from stemwatch.media_types import media_type
from stemwatch.tasks import in_a_thread

BLOCK = 256 * 1024  # bytes read at a time
_IN_1980, _IN_2107 = 315_619_200, 4_354_732_800  # Unix seconds, in any time zone
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def attachment(name: str) -> str:
    """`Content-Disposition` for a download under this name, whatever characters it has."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name).replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def let_go(end: Callable[..., None], *args: Any) -> asyncio.Future[None]:
    """Call what closes files, in a thread; whoever can wait for it may.

    On a share that hangs, `close` hangs as well.
    """
    return in_a_thread(end, *args, broken=_not_closed)


def _not_closed(fault: BaseException) -> None:
    log.warning("web.not_closed", message=str(fault))  # nothing is lost: it is over, or read only


class FileAnswer:
    """ASGI: an open file, closed in the end. One range is answered with 206; several, or a unit
    that nobody knows, with all of it, as the standard allows.
    """

    def __init__(self, fd: int, name: str, *, cache: str = "private, no-cache") -> None:
        self._fd = fd
        self._name = name
        self._cache = cache

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002
        try:
            await self._answer(scope, send)
        finally:
            let_go(os.close, self._fd)

    async def _answer(self, scope: Any, send: Any) -> None:
        found = await asyncio.to_thread(os.fstat, self._fd)
        etag = f'"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"'
        asked = {name: value.decode("latin-1") for name, value in scope["headers"]}
        headers = {
            "accept-ranges": "bytes",
            "cache-control": self._cache,
            "etag": etag,
            "last-modified": formatdate(changed_at(found), usegmt=True),
        }
        if etag in _tags(asked.get(b"if-none-match", "")):
            await _start(send, HTTPStatus.NOT_MODIFIED, headers)
            return
        headers["content-type"] = media_type(self._name)
        headers["content-disposition"] = attachment(self._name)
        status, first, after = _range(asked, etag, found.st_size)
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            await _start(send, status, {"content-range": f"bytes */{found.st_size}"})
            return
        if status == HTTPStatus.PARTIAL_CONTENT:
            headers["content-range"] = f"bytes {first}-{after - 1}/{found.st_size}"
        headers["content-length"] = str(after - first)
        if scope["method"] == "HEAD":
            after = first
        await _start(send, status, headers, more=True)
        connection = scope["state"]["connection"]
        while first < after and not connection.is_gone:
            block = await asyncio.to_thread(os.pread, self._fd, min(BLOCK, after - first), first)
            if not block:
                raise OSError("the file became shorter while it was read")
            first += len(block)
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def changed_at(found: os.stat_result) -> float:
    """Unix seconds within the years that a ZIP knows: a disk without a clock tells 1970, or any."""
    return min(max(found.st_mtime, _IN_1980), _IN_2107)


async def _start(
    send: Any, status: HTTPStatus, headers: dict[str, str], *, more: bool = False
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": int(status), "headers": raw})
    if not more:
        await send({"type": "http.response.body", "body": b""})


def _tags(value: str) -> set[str]:
    return {one.strip().removeprefix("W/") for one in value.split(",")}


def _range(asked: dict[bytes, str], etag: str, size: int) -> tuple[HTTPStatus, int, int]:
    """(status, first byte, the byte after the last)."""
    whole = HTTPStatus.OK, 0, size
    found = _RANGE.fullmatch(asked.get(b"range", "").replace(" ", ""))
    if found is None or found.group(0) == "bytes=-":
        return whole
    if asked.get(b"if-range", etag) != etag:  # another file by now: a part of it fits nowhere
        return whole
    first, last = found.groups()
    if not first:
        start, after = max(0, size - int(last)), size
    else:
        start, after = int(first), min(int(last) + 1, size) if last else size
    if first and last and int(last) < int(first):
        return whole
    if start >= after:
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0
    return HTTPStatus.PARTIAL_CONTENT, start, after
