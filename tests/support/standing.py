"""A document as `status` finds it, with only what a test wants to be special."""

from __future__ import annotations

from typing import Any

from stemwatch.job import JobState

Document = dict[str, Any]
NOTHING_WAITS: Document = {
    "count": 0, "more": False, "fault": None, "reasons": {}, "endings": {}, "files": [],
}  # fmt: skip


def budget(**changes: Any) -> Document:
    spent = {"minutes": 1.5, "price": 0.15, "limit": 10.0, "renewed_at": "2026-01-02T00:00:00Z"}
    return {
        "currency": "EUR",
        "today": spent,
        "month": {**spent, "limit": None},
        "holding": None,
        **changes,
    }


def inbox(name: str | None = None, **changes: Any) -> Document:
    return {
        "name": name,
        "inbox": "/srv/inbox",
        "queue": {str(state): 0 for state in JobState} | {"queued": 3},
        "budget": budget(),
        "waits": NOTHING_WAITS,
        **changes,
    }


def document(**changes: Any) -> Document:
    """A service that runs, with three songs queued."""
    return {
        "journal": True,
        "configuration": "/etc/stemwatch/config.yaml",
        "separates": "api",
        "engine": None,
        "device": None,
        "service": {
            "running": True,
            "pid": 7,
            "version": "1",
            "started_at": None,
            "configuration": "/etc/stemwatch/config.yaml",
        },
        "watcher": {"mode": "poll", "reason": "nfs", "healthy": True},
        "queue": {str(state): 0 for state in JobState} | {"queued": 3},
        "left_behind": 0,
        "next": [],
        "running": [],
        "remaining": None,
        "delivered": [],
        "inboxes": [inbox()],
        "pauses": [],
        "budget": budget(),
        "credit": None,
        "waiting": [],
        "unfiled": [],
        "interrupted": [],
        "quarantined": [],
        "unreadable": [],
        **changes,
    }
