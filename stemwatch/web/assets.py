"""The page's own files: read once they are asked for, sent compressed, known by their digest."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

from stemwatch.web.api.api_faults import Fault

# No other name is looked for: nothing that a URL says becomes a path.
FILES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "app.js": "text/javascript",
    "dom.js": "text/javascript",
    "words.js": "text/javascript",
    "feed.js": "text/javascript",
    "stream.js": "text/javascript",
    "holding.js": "text/javascript",
    "queue.js": "text/javascript",
    "uploads.js": "text/javascript",
    "songs.js": "text/javascript",
    "player.js": "text/javascript",
    "pieces.js": "text/javascript",
    "wave.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


async def index(request: Request) -> Response:
    """The page."""
    return await _answer(request, "index.html")


async def static(request: Request) -> Response:
    """One of its files."""
    return await _answer(request, request.path_params["file"])


async def icon(request: Request) -> Response:
    """What browsers ask for by themselves."""
    return await _answer(request, "icon.svg")


async def _answer(request: Request, name: str) -> Response:
    if name not in FILES:
        raise Fault(404, "not_found", "There is no such file.")
    raw, packed, tag = await asyncio.to_thread(_read, name)
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        raw = packed
    return Response(raw, media_type=FILES[name], headers=headers)


@cache
def _read(name: str) -> tuple[bytes, bytes, str]:
    """(as it is, compressed, ETag); all of them together have about 100 kB."""
    raw = files("stemwatch.web").joinpath("static", name).read_bytes()
    return raw, gzip.compress(raw, mtime=0), f'"{hashlib.sha256(raw).hexdigest()[:16]}"'
