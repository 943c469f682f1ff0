"""Wire B's JSON about a job: as StemSplit's OpenAPI document, and what clients read besides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from types import MappingProxyType
from typing import Any

from stemwatch.server.http.links import Links
from stemwatch.server.work.record import Record
from stemwatch.server.work.records import Standing

# outputType -> how many stems are made, and the one that is delivered (None: all)
OUTPUT_TYPES: Mapping[str, tuple[int, str | None]] = MappingProxyType(
    {
        "VOCALS": (2, "vocals"),
        "INSTRUMENTAL": (2, "instrumental"),
        "BOTH": (2, None),
        "FOUR_STEMS": (4, None),
        "SIX_STEMS": (6, None),
    }
)
QUALITIES = ("FAST", "BALANCED", "BEST")
FORMATS = ("MP3", "WAV", "FLAC")
STATUSES: Mapping[str, str] = MappingProxyType(
    {
        "PENDING": "waiting",
        "PROCESSING": "running",
        "COMPLETED": "completed",
        "FAILED": "failed",
        "EXPIRED": "expired",
    }
)
SPEED = 4.0  # times faster than the song plays: a guess, as StemSplit's own


def moment(seconds: float | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def status(record: Record, *, waiting: bool) -> str:
    if record.state == "processing":
        return "PENDING" if waiting else "PROCESSING"
    return record.state.upper()


def created(record: Record, standing: Standing) -> dict[str, Any]:
    """The answer to a submission."""
    return {
        **_head(record, standing),
        "estimatedSeconds": max(1, ceil((record.duration or 0) / SPEED)),
        "creditsRequired": record.credits,
        "input": {**_input(record), "fileSizeBytes": record.size},
        "options": _options(record),
        "outputs": None,
        "metadata": record.metadata,
    }


def detailed(
    record: Record, links: Links, base: str, standing: Standing, *, keep: float
) -> dict[str, Any]:
    """One job with URLs that are signed for this answer; results are kept for `keep` seconds."""
    ended = record.finished_at
    return {
        **listed(record, standing),
        "startedAt": moment(record.started_at),
        "input": {**_input(record), "fileSizeBytes": record.size},
        "outputs": _outputs(record, links, base),
        "audioMetadata": _heard(record),
        "engine": record.engine,
        "model": record.model,
        "modelSha256": record.model_sha256,
        "device": record.device,
        "creditsRequired": record.credits,
        "expiresAt": None if ended is None else moment(ended + keep),
        "metadata": record.metadata,
    }


def listed(record: Record, standing: Standing) -> dict[str, Any]:
    """One job among many."""
    return {
        **_head(record, standing),
        "completedAt": moment(record.finished_at),
        "input": _input(record),
        "options": _options(record),
        "creditsCharged": record.credits,
        "errorMessage": record.error,
    }


def payload(record: Record, links: Links, *, now: float) -> dict[str, Any]:
    """A webhook's body for a job that has ended; `now` in Unix seconds is signed with it."""
    return {
        "event": f"job.{record.state}",
        "timestamp": moment(now),
        "data": {
            "jobId": record.id,
            "status": record.state.upper(),
            "input": {**_input(record), "fileSizeBytes": record.size},
            "options": _options(record),
            "outputs": _outputs(record, links, record.origin),
            "audioMetadata": _heard(record),
            "creditsCharged": record.credits,
            "errorMessage": record.error,
            "createdAt": moment(record.created_at),
            "completedAt": moment(record.finished_at),
            "metadata": record.metadata,
        },
    }


def short_key(key: str | None) -> str | None:
    """A key in wire B's form: `C# minor` as `C#m`, `G major` as `G`."""
    if key is None:
        return None
    tonic, _, mode = key.partition(" ")
    return tonic + ("m" if mode == "minor" else "")


def _head(record: Record, standing: Standing) -> dict[str, Any]:
    done = record.state in ("completed", "expired")
    return {
        "id": record.id,
        "status": status(record, waiting=standing.waiting),
        "progress": 100 if done else int(standing.progress * 100),
        "createdAt": moment(record.created_at),
    }


def _input(record: Record) -> dict[str, Any]:
    return {"fileName": record.name, "durationSeconds": round(record.duration or 0)}


def _options(record: Record) -> dict[str, Any]:
    made = (record.stems, record.only)
    kind = next(name for name, one in OUTPUT_TYPES.items() if one == made)
    return {"outputType": kind, "quality": record.quality, "outputFormat": record.format.upper()}


def _outputs(record: Record, links: Links, base: str) -> dict[str, Any] | None:
    if record.state != "completed":
        return None
    return {
        stem: {"url": one.path, "expiresAt": moment(one.expires)}
        for stem, one in links.stems(record, base).items()
    }


def _heard(record: Record) -> dict[str, Any] | None:
    if record.state != "completed":
        return None
    return {
        "bpm": record.bpm,
        "key": short_key(record.key),
        "bpmConfidence": record.bpm_confidence,
        "keyConfidence": record.key_confidence,
        "tuningCents": record.tuning_cents,
        "firstBeatSeconds": record.first_beat_seconds,
    }
