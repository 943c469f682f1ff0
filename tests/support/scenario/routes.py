"""What a scenario server answers, route by route, and its log of what was asked."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tests.support.scenario import presigned
from tests.support.scenario.form import Form, FormError, parse_form
from tests.support.scenario.jobs import Job, Ledger, status_json, url_holds
from tests.support.scenario.link import Link
from tests.support.scenario.script import ROUTES, Script, Step, bend, deliver
from tests.support.scenario.stems import NAMES, TYPES, stem_answer
from tests.support.scenario.wire import Answer, Request, reset

LOG_LIMIT = 200_000


@dataclass
class Settings:
    """Change any of them while it runs, by name, through `scenario`."""

    key: str | None = None  # the only key that is let in; None: none is asked for
    job_seconds: float = 0.05
    duration: float = 2.0  # seconds of audio, where the upload doesn't tell
    concurrency: int | None = None  # jobs at once
    strict: str | None = None  # above it: "head" or "end" = 429 there; None = queue
    retry_after: str = "1"
    url_ttl: float = 3600.0
    stem_origin: str | None = None  # another server that has the stems
    public_host: str | None = None  # the host name in its own URLs
    honour_idempotency: bool = False  # StemSplit does not (yet)
    max_bytes: int = 100 * 1024 * 1024
    balance_seconds: int = 3600  # of credit, on wire B
    probe: bool = True  # measure uploads that are not WAV
    up_rate: float | None = None  # bytes a second of all uploads together
    down_rate: float | None = None  # ... and of all downloads


class Routes:
    """State and answers; one instance for each server. Thread-safe where tests touch it."""

    def __init__(self, settings: Settings, ledger: Path | None) -> None:
        self.settings = settings
        self.ledger = Ledger(ledger)
        self.script = Script()
        self.origin = ""
        self.uplink, self.downlink = Link(), Link()
        self.log: deque[dict[str, Any]] = deque(maxlen=LOG_LIMIT)
        self._plans: deque[dict[str, Any]] = deque()
        self._by_name: dict[str, Script] = {}
        self._plan_of: dict[str, dict[str, Any]] = {}
        self._uploads = presigned.Uploads()
        self._others: list[Job] = []
        self.told = asyncio.Event()
        self._lock = threading.Lock()
        self._numbers = itertools.count(len(self.ledger.jobs) + 1)

    def change(self, changes: dict[str, Any]) -> None:
        """Steps, job plans ({"plan": "failed"|"never"|"stuck", "seconds": 9}) and settings.

        `by_name`: file name -> {"post": steps, "get": steps, "download": steps, "plan": plan} of
        that song alone, which come before the steps for everybody. A post's name is known once its
        body is read: only an answer can be one song's own.
        """
        with self._lock:
            self.script.load({k: v for k, v in changes.items() if k in ROUTES})
            if "jobs" in changes:
                self._plans = deque(changes["jobs"])
            for name, own in changes.get("by_name", {}).items():
                self._by_name[name] = Script()
                self._by_name[name].load(
                    {k: own[k] for k in ("post", "get", "download") if k in own}
                )
                self._plan_of[name] = own.get("plan", {})
            known = {field.name for field in fields(Settings)}
            for name, value in changes.items():
                if name in known:
                    setattr(self.settings, name, value)
                elif name not in {*ROUTES, "jobs", "by_name"}:
                    raise ValueError(f"no such setting or route: {name}")

    def finish(self) -> None:
        with self._lock:
            self.ledger.finish()

    def crowd(self, count: int, named: bool) -> None:
        now = time.time()
        self._others = [
            Job(
                id=f"other_{number}",
                sha256="",
                filename=None,
                stems="2",
                format="wav",
                duration=1.0,
                accepted=now + number / 1000,
                starts=now,
                ends=now,
                idempotency_key=None,
                file_name=f"theirs {number}.mp3" if named else "",
            )
            for number in range(count)
        ]

    async def handle(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; True if the connection stays open."""
        if request.path.startswith("/_"):
            await deliver({}, writer, await self._control(request))
            return True
        route = _route(request)
        entry = {
            "time": time.time(),
            "route": route,
            "method": request.method,
            "path": request.path,
            "target": request.target,
            "headers": request.headers,
            "status": None,
            "delivered": False,  # the answer was handed to the socket
        }
        self.log.append(entry)
        with self._lock:
            step = self._step(route, request.path) if route in ROUTES else {}
        if request.path.startswith(presigned.PREFIX):
            step = presigned.translated(step)
        self.uplink.rate, self.downlink.rate = self.settings.up_rate, self.settings.down_rate
        request.uplink = self.uplink
        try:
            return await self._routed(route, request, writer, step, entry)
        finally:
            entry["received"] = request.received

    async def _routed(
        self,
        route: str,
        request: Request,
        writer: asyncio.StreamWriter,
        step: Step,
        entry: dict[str, Any],
    ) -> bool:
        if route == "post":
            return await self._post(request, writer, step, entry)
        if await _cut_short(step, "head", writer):
            return False
        if route == "put" and await _cut_in_body(step, request, writer):
            return False
        if route in {"get", "balance"}:
            proper = self._get(request)
        elif route in {"ticket", "put"}:
            proper = await self._upload(request, route, entry)
        else:
            proper = await self._other(request, route)
            if not isinstance(proper.body, bytes) and self.downlink.rate is not None:
                proper.body = self.downlink.paced(proper.body)
        return await self._send(step, request, writer, proper, entry)

    def _step(self, route: str, path: str) -> Step:
        """The song's own next step, else the next of all."""
        job = None
        if route in {"get", "download"}:
            job = self.ledger.jobs.get(path.split("/")[-1 if route == "get" else 2])
        own = self._by_name.get(job.filename or "") if job is not None else None
        if route == "balance":
            return self.script.next("balance") or self.script.lasting("get")
        return (own.next(route) if own is not None else {}) or self.script.next(route)

    async def _post(
        self, request: Request, writer: asyncio.StreamWriter, step: Step, entry: dict[str, Any]
    ) -> bool:
        if await _cut_short(step, "head", writer):
            return False
        refusal = self._unauthorised(request) or self._full("head")
        if refusal is not None and not step:
            step = {"at": "head"}
        if step.get("at") == "head":
            await self._send(step, request, writer, refusal or Answer.json(202, {}), entry)
            if step.get("then") == "read":
                await request.drain()
            if step.get("then") == "stall":
                await asyncio.Event().wait()
            return False
        if await _cut_in_body(step, request, writer):
            return False
        step = dict(step)
        proper = await self._take(request, step, entry)
        entry["finished"] = time.time()
        if await _cut_short(step, "end", writer):
            return False
        return await self._send(step, request, writer, proper, entry)

    async def _take(self, request: Request, step: Step, entry: dict[str, Any]) -> Answer:
        """Read the whole upload; accept it if it is a good one and no step says otherwise.

        `step` becomes the song's own next step where there is one.
        """
        kind = request.headers.get("content-type", "")
        file_name = ""
        if request.path.startswith(presigned.PREFIX):
            asked = await presigned.json_of(request) or {}
            found = self._uploads.form(asked)
            if found is None:
                return presigned.fault(400, "INVALID_REQUEST", "no such upload")
            form, file_name = found, str(asked.get("fileName", ""))
        else:
            try:
                form = await parse_form(request.body(), kind, keep=self.settings.probe)
            except FormError as exc:
                await request.drain()
                return Answer.json(400, {"error": str(exc)})
        entry.update(sha256=form.sha256, size=form.size, fields=form.fields, filename=form.filename)
        with self._lock:
            own = self._by_name.get(form.filename or "")
            if own is not None and (mine := own.next("post")):
                step.clear()
                step.update(mine)
        stems, format_ = form.fields.get("stems", ""), form.fields.get("format", "")
        if stems not in NAMES or format_ not in TYPES or form.filename is None:
            return Answer.json(422, {"error": f"stems={stems!r} format={format_!r}"})
        if form.size > self.settings.max_bytes:
            return Answer.json(413, {"error": "file too large (max 100 MB)"})
        if form.size == 0:
            return Answer.json(400, {"error": "empty file"})
        refusal = self._full("end")
        if refusal is not None:
            return refusal
        if not (_takes(step) or step.get("accept")):
            return Answer.json(202, {})
        job = self._accept(form, request.headers.get("idempotency-key"), file_name)
        entry["job_id"] = job.id
        if file_name:
            return presigned.created(job)
        return Answer.json(202, {"job_id": job.id, "status": "processing"})

    async def _upload(self, request: Request, route: str, entry: dict[str, Any]) -> Answer:
        """Wire B's ticket, or the upload that it was for."""
        if route == "put":
            answer = await self._uploads.put(request, keep=self.settings.probe)
            entry["size"] = request.received
            return answer
        refusal = self._unauthorised(request)
        asked = await presigned.json_of(request)
        if refusal is not None or asked is None:
            return refusal or presigned.fault(400, "INVALID_REQUEST", "not JSON")
        return self._uploads.ticket(asked, self.origin, self.settings.max_bytes)

    def _accept(self, form: Form, key: str | None, file_name: str = "") -> Job:
        if self.settings.honour_idempotency and key:
            for job in self.ledger.jobs.values():
                if job.idempotency_key == key:
                    form.close()
                    return job
        now = time.time()
        with self._lock:
            plan = self._plan_of.get(form.filename or "")
            if plan is None:
                plan = self._plans.popleft() if self._plans else {}
            job = Job(
                id=f"job_{next(self._numbers):06d}",
                sha256=form.sha256,
                filename=form.filename,
                stems=form.fields["stems"],
                format=form.fields["format"],
                duration=form.duration(self.settings.duration),
                accepted=now,
                starts=now,
                ends=now + plan.get("seconds", self.settings.job_seconds),
                idempotency_key=key,
                plan=plan.get("plan", "done"),
                file_name=file_name,
            )
            job.error = plan.get("error", job.error)
            self.ledger.accept(job, self.settings.concurrency)
        form.close()
        return job

    def _get(self, request: Request) -> Answer:
        refusal = self._unauthorised(request)
        if refusal is not None:
            return refusal
        if request.path == f"{presigned.PREFIX}/jobs":
            every = [*self.ledger.jobs.values(), *self._others]
            return presigned.listed(every, request.query, time.time())
        if request.path == f"{presigned.PREFIX}/balance":
            return Answer.json(200, {"balanceSeconds": self.settings.balance_seconds})
        job = self.ledger.jobs.get(request.path.rsplit("/", 1)[-1])
        if job is None:
            if request.path.startswith(presigned.PREFIX):
                return presigned.fault(404, "JOB_NOT_FOUND", "no such job")
            return Answer.json(404, {"error": "no such job"})
        base = self.settings.stem_origin or self.origin
        if request.path.startswith(presigned.PREFIX):
            return Answer.json(200, presigned.detail(job, base, self.settings.url_ttl, time.time()))
        return Answer.json(200, status_json(job, base, self.settings.url_ttl, time.time()))

    @staticmethod
    async def _other(request: Request, route: str) -> Answer:
        if route != "download":
            return Answer.json(404, {"error": "no such endpoint"})
        name, _, kind = request.path.rsplit("/", 1)[-1].rpartition(".")
        if kind not in TYPES or not url_holds(request.path, request.query):
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        # In a thread: a long song's stem takes seconds to encode, and the uplink would stand still.
        return await asyncio.to_thread(stem_answer, name, kind, float(request.query["seconds"]))

    async def _send(
        self,
        step: Step,
        request: Request,
        writer: asyncio.StreamWriter,
        proper: Answer,
        entry: dict[str, Any],
    ) -> bool:
        answer = bend(step, proper, self.origin, request.path, request.query)
        entry["status"] = answer.status
        if step.get("until") == "told":
            await self.told.wait()
        stays = await deliver(step, writer, answer)
        entry["delivered"] = True
        return stays

    def _unauthorised(self, request: Request) -> Answer | None:
        key = self.settings.key
        if key is None or request.headers.get("authorization") == f"Bearer {key}":
            return None
        if request.path.startswith(presigned.PREFIX):
            given = "authorization" in request.headers
            code = "INVALID_API_KEY" if given else "MISSING_API_KEY"
            return presigned.fault(401, code, "invalid API key")
        return Answer.json(401, {"error": "invalid API key"})

    def _full(self, where: str) -> Answer | None:
        settings = self.settings
        if settings.strict != where or not settings.concurrency:
            return None
        if self.ledger.running(time.time()) < settings.concurrency:
            return None
        headers = {"Retry-After": settings.retry_after}
        return Answer.json(429, {"error": "too many jobs at once"}, headers)

    async def _control(self, request: Request) -> Answer:
        if request.path == "/_scenario":
            changes = b"".join([chunk async for chunk in request.body()])
            try:
                self.change(json.loads(changes))
            except ValueError as exc:
                return Answer.json(400, {"error": str(exc)})
            return Answer.json(200, {})
        if request.path == "/_paid":
            return Answer.json(200, self.ledger.paid())
        if request.path == "/_uplink":
            return Answer.json(200, {"idle": self.uplink.idle})
        if request.path == "/_log":
            return Answer.json(200, list(self.log))
        return Answer.json(404, {})


def _route(request: Request) -> str:
    if request.method == "POST":
        posts = {"/v1/separate": "post", "/api/v1/jobs": "post", "/api/v1/upload": "ticket"}
        return posts.get(request.path, "other")
    if request.method == "PUT":
        return "put" if request.path.startswith("/uploads/") else "other"
    if request.path == "/api/v1/balance":
        return "balance"
    if request.path.startswith(("/v1/jobs/", "/api/v1/jobs")):
        return "get"
    return "download" if request.path.startswith("/stems/") else "other"


async def _cut_short(step: Step, where: str, writer: asyncio.StreamWriter) -> bool:
    """Reset, close or hang here, if the step wants it here."""
    if step.get("hang") == where:
        await asyncio.Event().wait()
    if step.get("reset") == where:
        reset(writer)
        return True
    return step.get("close") == where


async def _cut_in_body(step: Step, request: Request, writer: asyncio.StreamWriter) -> bool:
    """The same half-way through the request's body, which nobody reads on."""
    if not any(step.get(kind) == "body" for kind in ("reset", "close", "hang")):
        return False
    async for _ in request.body(limit=request.length // 2):
        pass
    await _cut_short(step, "body", writer)
    return True


def _takes(step: Step) -> bool:
    """Would a server that does this have taken the job?"""
    broken = any(step.get(kind, "answer") != "answer" for kind in ("reset", "close", "hang"))
    return not broken and not {"status", "redirect", "hops"} & step.keys()
