"""The jobs that a scenario server has accepted, and the ledger of what was paid for.

Time is the wall clock and nothing runs in the background: a job's end is known when it is
accepted, so thousands of jobs cost nothing and a restart from the ledger file changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.scenario.stems import NAMES

_SECRET = b"scenario"  # every scenario server signs alike: one may store another's stems


@dataclass
class Job:
    """`plan`: done | failed | never | stuck (a status word nobody knows)."""

    id: str
    sha256: str
    filename: str | None
    stems: str
    format: str
    duration: float
    accepted: float
    starts: float
    ends: float
    idempotency_key: str | None
    plan: str = "done"
    error: str = "the model ran out of memory"
    file_name: str = ""  # as wire B was given it, with its token


class Ledger:
    """Every accepted job; `path` makes it survive a restart."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.jobs: dict[str, Job] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                job = Job(**json.loads(line))
                self.jobs[job.id] = job
        self._slots = [job.ends for job in self.jobs.values()]  # when each slot is free
        self._file = path.open("a") if path is not None else None

    def running(self, now: float) -> int:
        self._slots = [end for end in self._slots if end > now]
        return len(self._slots)

    def accept(self, job: Job, concurrency: int | None) -> None:
        """Take a job; above `concurrency` it starts when the earliest slot is free."""
        seconds = job.ends - job.starts
        if concurrency and self.running(job.accepted) >= concurrency:
            job.starts = sorted(self._slots)[-concurrency]
            job.ends = job.starts + seconds
        self._slots.append(job.ends)
        self.jobs[job.id] = job
        if self._file is not None:
            self._file.write(json.dumps(asdict(job)) + "\n")
            self._file.flush()

    def finish(self) -> None:
        """End all jobs now, however long they were to take."""
        now = time.time()
        for job in self.jobs.values():
            job.ends = min(job.ends, now)
        self._slots = []

    def paid(self) -> dict[str, Any]:
        """What was charged: in all, by content, and each job."""
        jobs = list(self.jobs.values())
        return {
            "total": len(jobs),
            "by_sha256": dict(Counter(job.sha256 for job in jobs)),
            "jobs": [
                {
                    "id": job.id,
                    "sha256": job.sha256,
                    "filename": job.filename,
                    "idempotency_key": job.idempotency_key,
                    "accepted": job.accepted,
                    "stems": job.stems,
                    "format": job.format,
                }
                for job in jobs
            ],
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def status_json(job: Job, stem_base: str, url_ttl: float, now: float) -> dict[str, Any]:
    """`GET /jobs/{id}` as the tutorial shows it."""
    over = now >= job.ends and job.plan in {"done", "failed"}
    data: dict[str, Any] = {
        "job_id": job.id,
        "status": "warming_up" if job.plan == "stuck" else "processing",
    }
    if over and job.plan == "failed":
        return data | {"status": "failed", "error": job.error}
    if over:
        data |= {
            "status": "completed",
            "stems": {
                name: stem_url(stem_base, job, name, now + url_ttl)
                for name in NAMES.get(job.stems, NAMES["2"])
            },
            "bpm": 124.0,
            "key": "C# minor",
            "duration_seconds": round(job.duration, 3),
        }
    return data


def stem_url(base: str, job: Job, name: str, expires: float) -> str:
    """A signed URL that says all there is to know, so that any scenario server can serve it."""
    path = f"/stems/{job.id}/{name}.{job.format}"
    query = f"seconds={job.duration:.3f}&expires={expires:.3f}"
    return f"{base}{path}?{query}&signature={sign(path, query)}"


def sign(path: str, query: str) -> str:
    return hmac.new(_SECRET, f"{path}?{query}".encode(), hashlib.sha256).hexdigest()[:32]


def url_holds(path: str, query: dict[str, str]) -> bool:
    """Is the signature right and the time not over?"""
    signed = f"seconds={query.get('seconds')}&expires={query.get('expires')}"
    if not hmac.compare_digest(sign(path, signed), query.get("signature", "")):
        return False
    return time.time() < float(query["expires"])
