"""Wire B's side of a scenario server: tickets, uploads, jobs in its JSON. Data in, answers out."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import time
from datetime import UTC, datetime
from typing import Any

from tests.support.scenario.form import Form
from tests.support.scenario.jobs import Job, stem_url
from tests.support.scenario.stems import NAMES
from tests.support.scenario.wire import Answer, Request

PREFIX = "/api/v1"
OUTPUTS = {"BOTH": "2", "FOUR_STEMS": "4", "SIX_STEMS": "6"}
HEARD = {"bpm": 124, "key": "C#m"}
_STATUS = {"done": "COMPLETED", "failed": "FAILED"}


class Uploads:
    """What was put to storage, by upload key."""

    def __init__(self) -> None:
        self.kept: dict[str, Form] = {}
        self._names: dict[str, str] = {}
        self._numbers = itertools.count(1)

    def ticket(self, asked: dict[str, Any], origin: str, most: int) -> Answer:
        name = asked.get("filename")
        if not isinstance(name, str) or not name:
            return fault(400, "INVALID_REQUEST", "filename is missing")
        key = f"uploads/{next(self._numbers):06d}/input.{name.rpartition('.')[2]}"
        self._names[key] = name
        ticket = {
            "uploadUrl": f"{origin}/{key}?X-Amz-Signature={hashlib.md5(key.encode()).hexdigest()}",
            "uploadKey": key,
            "expiresAt": moment(time.time() + 900),
            "maxFileSizeBytes": most,
            "maxFileSizeMb": most // 1_000_000,
            "contentType": asked.get("contentType") or "application/octet-stream",
        }
        return Answer.json(200, ticket)

    async def put(self, request: Request, *, keep: bool) -> Answer:
        """Take the raw bytes; hashed and measured as a multipart upload would be."""
        form, digest = Form(), hashlib.sha256()
        key = request.path.lstrip("/")
        if key not in self._names or "X-Amz-Signature" not in request.query:
            await request.drain()
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        form.filename = self._names[key]
        async for chunk in request.body():
            digest.update(chunk)
            form.head = (form.head + chunk)[:4096] if len(form.head) < 4096 else form.head
            form.size += len(chunk)
            if keep:
                form.keep(chunk)
        form.sha256 = digest.hexdigest()
        self.kept[key] = form
        return Answer(200, b"")

    def form(self, asked: dict[str, Any]) -> Form | None:
        """The upload that a `POST /jobs` names, with its fields as wire A would have them."""
        form = self.kept.get(str(asked.get("uploadKey")))
        if form is None:
            return None
        form.fields = {
            "stems": OUTPUTS.get(str(asked.get("outputType")), ""),
            "format": str(asked.get("outputFormat", "")).lower(),
        }
        form.filename = without_token(str(asked.get("fileName", "")))
        return form


def without_token(name: str) -> str:
    return re.sub(r" \[sw-[0-9a-z]+\]", "", name)


def translated(step: dict[str, Any]) -> dict[str, Any]:
    """A step that was written in wire A's words for a job, in wire B's."""
    if not {"merge", "drop"} & step.keys():
        return step
    words = {"job_id": "id", "stems": "outputs"}
    merged = {words.get(name, name): value for name, value in step.get("merge", {}).items()}
    dropped = [words.get(name, name) for name in step.get("drop", [])]
    heard: dict[str, Any] = dict(HEARD)
    heard |= {name: merged.pop(name) for name in HEARD if name in merged}
    heard = {name: value for name, value in heard.items() if name not in dropped}
    told = {"audioMetadata": heard} if heard != HEARD else {}
    return {**step, "merge": told | merged, "drop": dropped}


def fault(status: int, code: str, message: str, **more: Any) -> Answer:
    return Answer.json(status, {"error": {"code": code, "message": message, **more}})


def moment(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat().replace("+00:00", "Z")


def created(job: Job) -> Answer:
    data = {
        **_common(job, "PENDING"),
        "progress": 0,
        "estimatedSeconds": round(job.ends - job.accepted),
        "creditsRequired": round(job.duration),
        "outputs": None,
        "metadata": None,
    }
    return Answer.json(201, data)


def detail(job: Job, stem_base: str, url_ttl: float, now: float) -> dict[str, Any]:
    """`GET /jobs/{id}`."""
    over = now >= job.ends and job.plan in _STATUS
    data: dict[str, Any] = {
        **_common(job, "WARMING_UP" if job.plan == "stuck" else "PROCESSING"),
        "progress": 100 if over else 40,
        "outputs": None,
    }
    if over and job.plan == "failed":
        return data | {"status": "FAILED", "errorMessage": job.error}
    if over:
        expires = now + url_ttl
        data |= {
            "status": "COMPLETED",
            "outputs": {
                name: {
                    "url": stem_url(stem_base, job, name, expires),
                    "expiresAt": moment(expires),
                }
                for name in NAMES.get(job.stems, NAMES["2"])
            },
            "audioMetadata": HEARD,
            "creditsCharged": round(job.duration),
            "errorMessage": None,
        }
    return data


def listed(jobs: list[Job], query: dict[str, str], now: float) -> Answer:
    """`GET /jobs`: newest first."""
    limit, offset = min(int(query.get("limit", 20)), 100), int(query.get("offset", 0))
    newest = sorted(jobs, key=lambda job: job.accepted, reverse=True)
    page = [
        _common(job, "COMPLETED" if now >= job.ends else "PROCESSING")
        for job in newest[offset : offset + limit]
    ]
    more = offset + limit < len(newest)
    pages = {"total": len(newest), "limit": limit, "offset": offset, "hasMore": more}
    return Answer.json(200, {"jobs": page, "pagination": pages})


def _common(job: Job, status: str) -> dict[str, Any]:
    given = {"fileName": job.file_name, "durationSeconds": round(job.duration)}
    return {
        "id": job.id,
        "status": status,
        "createdAt": moment(job.accepted),
        "input": given if job.file_name else {},  # such as of a song that a link named
        "options": {"outputFormat": job.format.upper()},
    }


async def json_of(request: Request) -> dict[str, Any] | None:
    try:
        data = json.loads(b"".join([chunk async for chunk in request.body()]))
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
