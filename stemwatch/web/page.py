"""The page and the API put together: which path is answered by what, behind the shield."""

from __future__ import annotations

import asyncio
import os
import time
from importlib.resources import files

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from stemwatch.codes import Code
from stemwatch.config import Inbox
from stemwatch.errors import StemwatchError
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.log import log
from stemwatch.tasks import supervised
from stemwatch.web import assets
from stemwatch.web.api import api_faults as faults
from stemwatch.web.api.api_faults import Fault
from stemwatch.web.api.controls import Controls
from stemwatch.web.api.landing import sweep
from stemwatch.web.api.login import Login
from stemwatch.web.api.remove_vocals import RemoveVocals
from stemwatch.web.api.song_calls import Songs
from stemwatch.web.api.uploads import Uploads
from stemwatch.web.backing import Backing, Broken
from stemwatch.web.guard.callers import Callers
from stemwatch.web.guard.password import Password
from stemwatch.web.guard.sessions import FILE, Sessions
from stemwatch.web.guard.shield import Access, Shield
from stemwatch.web.live.event_stream import Events
from stemwatch.web.live.state import Live
from stemwatch.web.long_requests import LongRequests


class _Number(Convertor[int]):
    """Of a job, or a piece: one that the journal can look for."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", _Number())


class Page:
    """`app` is the ASGI application; `close` before its connections are ended."""

    def __init__(self, backing: Backing, journal: ReadOnlyJournal, broken: Broken) -> None:
        self._backing = backing
        self._broken = broken
        self._live = Live(backing, journal, broken)
        access = _access(backing)
        routes = _routes(backing, journal, self._live, access, broken)
        inner = Starlette(
            routes=routes,
            exception_handlers={
                Fault: faults.known,
                StemwatchError: faults.stemwatch_fault,
                HTTPException: faults.http_fault,
                ClientDisconnect: faults.gone,
                Exception: self._failed,
            },
        )
        self.app = Shield(inner, Callers(backing.settings().web), access)
        self._sweeping = [
            supervised(self._sweep(inbox), self._not_swept, name="page-sweep")
            for inbox in backing.settings().every_inbox
        ]

    def close(self) -> None:
        """Whoever watches or waits is told that the service ends."""
        self._live.close()
        for sweeping in self._sweeping:
            sweeping.cancel()

    async def _failed(self, request: Request, fault: Exception) -> Response:
        # Where the parser has refused the rest of a request, our answer finds a closed door.
        if not request.scope["state"]["connection"].is_gone:
            self._broken(request.url.path, fault)
        words = "Something went wrong here; the service's log says what."
        return Fault(500, Code.INTERNAL, words, headers=faults.CLOSE).response()

    async def _sweep(self, inbox: Inbox) -> None:
        """What a kill left of uploads."""
        await self._backing.doors[inbox.name].require_online()
        if removed := await asyncio.to_thread(sweep, inbox.folders.inbox):
            log.info("web.swept", inbox=inbox.name, files=removed)

    def _not_swept(self, fault: BaseException) -> None:
        if not isinstance(fault, StemwatchError) and isinstance(fault, Exception):
            self._broken("/api/inbox", fault)  # a disk that is away is told elsewhere


def _access(backing: Backing) -> Access:
    if backing.password is None:
        return Access(None, None)
    path = os.path.join(backing.state_dir, FILE)
    return Access(Password(backing.password, time.monotonic), Sessions(path, backing.password))


def _routes(
    backing: Backing, journal: ReadOnlyJournal, live: Live, access: Access, broken: Broken
) -> list[BaseRoute]:
    long_requests = LongRequests()
    events, songs = Events(live, long_requests, access.lasts), Songs(backing, journal)
    vocals = RemoveVocals(backing, live, long_requests, broken)
    login, controls = Login(access), Controls(backing)
    post = ["POST"]
    return [
        Route("/", assets.index),
        Route("/favicon.ico", assets.icon),
        Route("/static/{file}", assets.static),
        Route("/api/openapi.json", _openapi),
        Route("/api/login", login.login, methods=post),
        Route("/api/logout", login.logout, methods=post),
        Route("/api/state", events.state),
        Route("/api/events", events.events),
        Route("/api/inbox/{inbox}", Uploads(backing, long_requests).put, methods=["PUT"]),
        Route("/api/quarantine/retry-all", controls.retry_all, methods=post),
        Route("/api/quarantine/{id:number}/retry", controls.retry, methods=post),
        Route("/api/quarantine/{id:number}/discard", controls.discard, methods=post),
        Route("/api/jobs/{id:number}/cancel", controls.cancel, methods=post),
        Route("/api/jobs/{id:number}/first", controls.first, methods=post),
        Route("/api/pause", controls.pause, methods=post),
        Route("/api/resume", controls.resume, methods=post),
        Route("/api/songs", songs.history),
        Route("/api/songs/{id:number}", songs.song),
        Route("/api/songs/{id:number}/stems/{stem}", songs.stem),
        Route("/api/songs/{id:number}/stems/{stem}/preview/{k:number}", songs.preview),
        Route("/api/songs/{id:number}/peaks", songs.peaks),
        Route("/api/songs/{id:number}/stem-file", songs.stem_file),
        Route("/api/songs/{id:number}/zip", songs.zip),
        Route("/api/songs/{id:number}/mix", songs.mix, methods=post),
        Route("/api/remove-vocals", vocals.post, methods=post),
    ]


async def _openapi(_: Request) -> Response:
    text = await asyncio.to_thread(files("stemwatch.web.api").joinpath("openapi.json").read_bytes)
    return Response(text, media_type="application/json", headers=faults.FRESH)
