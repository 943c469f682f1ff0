"""What a hook reads on its standard input: one JSON document about one event."""

from __future__ import annotations

import asyncio
import json
import os

from stemwatch.errors import StemwatchError
from stemwatch.notices.events import DELIVERED, QUARANTINED, Event
from stemwatch.outbox import quarantine, sidecar
from stemwatch.outbox.naming import readable


async def payload(event: Event) -> bytes:
    """The sidecar, the reason file, or code, message and hint; `null` if the sidecar is gone."""
    if event.kind == DELIVERED:
        return await asyncio.to_thread(_sidecar, event.folder)
    if event.kind == QUARANTINED:
        return quarantine.reason_bytes(event.reason or {})
    about = {"code": event.code, "message": event.message, "hint": event.hint}
    return _json(about if event.inbox is None else {**about, "inbox": event.inbox})


def _sidecar(folder: str) -> bytes:
    """The sidecar as it is on disk: somebody may have taken the folder away meanwhile."""
    try:
        path = sidecar.locate(folder) if os.path.isabs(folder) else None
        return _json(None if path is None else sidecar.read(path))
    except (OSError, StemwatchError):
        return _json(None)


def _json(content: object) -> bytes:
    return readable(json.dumps(content, ensure_ascii=False, indent=2)).encode() + b"\n"
