"""Wire A's JSON about a job, for its answers and its webhooks."""

from __future__ import annotations

from typing import Any

from stemwatch.server.http.links import Links
from stemwatch.server.work.record import Record
from stemwatch.server.work.records import Standing


def accepted(record: Record) -> dict[str, Any]:
    return {"job_id": record.id, "status": record.state}


def described(record: Record, links: Links, base: str, standing: Standing) -> dict[str, Any]:
    """Everything about a job, `standing` as it now does."""
    return {
        **accepted(record),
        "progress": 1.0 if record.state == "completed" else standing.progress,
        "queue_position": standing.position,
        "stems": _stems(record, links, base),
        "bpm": record.bpm,
        "key": record.key,
        "bpm_confidence": record.bpm_confidence,
        "key_confidence": record.key_confidence,
        "tuning_cents": record.tuning_cents,
        "first_beat_seconds": record.first_beat_seconds,
        "duration_seconds": record.duration,
        "error": record.error,
        "engine": record.engine,
        "model": record.model,
        "model_sha256": record.model_sha256,
        "device": record.device,
    }


def payload(record: Record, links: Links) -> dict[str, Any]:
    """A webhook's body for a job that has ended."""
    if record.state == "failed":
        return {**accepted(record), "error": record.error}
    return {
        **accepted(record),
        "stems": _stems(record, links, record.origin),
        "bpm": record.bpm,
        "key": record.key,
        "duration_seconds": record.duration,
    }


def _stems(record: Record, links: Links, base: str) -> dict[str, str]:
    return {stem: one.path for stem, one in links.stems(record, base).items()}
