"""The local separation server spoken to on its presigned wire, each answer checked by the book."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support import openapi
from tests.support.server import Server, tone
from tests.support.waiting import NO_TLS, wait_for


class Presigned:
    """A client of a test server's `/api/v1`; a context manager."""

    def __init__(self, server: Server, key: str | None = None) -> None:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        checked = {"response": [openapi.check]}
        base = f"http://127.0.0.1:{server.port}/api/v1"
        made = {"timeout": 30, "event_hooks": checked, "verify": NO_TLS}
        self.http = httpx.Client(base_url=base, headers=headers, **made)
        self.storage = httpx.Client(**made)  # without the key

    def __enter__(self) -> Presigned:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.storage.close()

    def ticket(self, name: str = "song.wav", **more: str) -> dict[str, Any]:
        answer = self.http.post("/upload", json={"filename": name, **more})
        assert answer.status_code == 200
        ticket: dict[str, Any] = answer.json()
        return ticket

    def put(self, ticket: dict[str, Any], content: bytes, **headers: str) -> httpx.Response:
        sent = {"Content-Type": ticket["contentType"], **headers}
        return self.storage.put(ticket["uploadUrl"], content=content, headers=sent)

    def uploaded(self, content: bytes | None = None, name: str = "song.wav") -> str:
        """The key of a finished upload."""
        ticket = self.ticket(name)
        assert self.put(ticket, tone() if content is None else content).status_code == 200
        key: str = ticket["uploadKey"]
        return key

    def create(
        self, upload_key: str | None = None, *, key: str | None = None, **body: Any
    ) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        given = {"uploadKey": upload_key or self.uploaded(), "fileName": "song.wav"}
        given |= {"outputFormat": "WAV", **body}
        return self.http.post("/jobs", json=given, headers=headers)

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/jobs/{job_id}").json()
        return answer

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job, once it has ended."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] not in ("PENDING", "PROCESSING") else None

        job = wait_for(look, what="the job's end")
        assert job is not None
        return job
