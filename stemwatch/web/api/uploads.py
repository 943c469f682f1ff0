"""`PUT /api/inbox/{inbox}?path=Party/Song.mp3`: the raw bytes of a song, into an inbox."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stemwatch.codes import Code
from stemwatch.config import Inbox
from stemwatch.receiving.streaming import to_disk
from stemwatch.web.api import api_faults as faults
from stemwatch.web.api.api_faults import CLOSE, FRESH, SMALLER, Fault
from stemwatch.web.api.landing import checked_path, landing, require_room
from stemwatch.web.backing import Backing, Door
from stemwatch.web.connection_limits import STALL
from stemwatch.web.long_requests import Full, LongRequests

SINGLE = "default"  # in the URL, where the only inbox has no name


class Uploads:
    """Songs land by the ordinary way: the scan finds them, and presets and budgets hold."""

    def __init__(self, backing: Backing, long_requests: LongRequests) -> None:
        self._backing = backing
        self._long_requests = long_requests

    async def put(self, request: Request) -> Response:
        """201 `{name, folder, inbox, bytes, renamed}`."""
        inbox, door = inbox_of(self._backing, request.path_params["inbox"])
        path = checked_path(request.query_params.get("path", ""), self._backing.settings())
        size = _declared(request, self._backing.health.context.largest)
        try:
            with self._long_requests.upload():
                request.scope["state"]["connection"].set_apart(stall=STALL)
                await door.require_online()
                answer = await self._received(request, inbox, path, size)
                door.look()  # a share whose changes nobody tells is looked at every 30 s otherwise
                return answer
        except Full:
            raise faults.full("uploads") from None

    async def _received(self, request: Request, inbox: Inbox, path: str, size: int) -> Response:
        root = inbox.folders.inbox
        await asyncio.to_thread(require_room, root, size)
        folder, _, name = path.rpartition("/")
        async with landing(root, folder) as place:
            got = await to_disk(request.stream(), place.path)
            if got != size:
                raise Fault(400, Code.TRUNCATED, f"{got} of {size} bytes came.", headers=CLOSE)
            landed = await asyncio.to_thread(place.land, name)
        document = {
            "name": landed.rpartition("/")[2],
            "folder": folder,
            "inbox": inbox.name,
            "bytes": got,
            "renamed": landed != path,
        }
        return JSONResponse(document, status_code=201, headers=FRESH)


def inbox_of(backing: Backing, name: str | None) -> tuple[Inbox, Door]:
    """The inbox that the URL names (None: the first), and the way into it. Raises Fault 404."""
    settings = backing.settings()
    every = settings.every_inbox
    found = every[0] if name is None else None
    for inbox in every:
        if name == (inbox.name or SINGLE):
            found = inbox
    if found is None or found.name not in backing.doors:
        known = ", ".join(inbox.name or SINGLE for inbox in every)
        words = f"There is no inbox {str(name)[:40]!r}."
        raise Fault(404, "no_inbox", words, f"There is {known}.", headers=CLOSE)
    return found, backing.doors[found.name]


def _declared(request: Request, largest: int) -> int:
    given = request.headers.get("content-length")
    if given is None:
        raise Fault(411, "no_length", "Send a Content-Length.", headers=CLOSE)
    size = int(given)  # checked by the HTTP parser
    if size > largest:
        words = f"The file is larger than {largest >> 20} MB."
        raise Fault(413, Code.TOO_LARGE, words, SMALLER, headers=CLOSE)
    return size
