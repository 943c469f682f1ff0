"""Which webhooks are to be told of a job's end, by their registrations. Imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from stemwatch.server.work.record import Record

ITS_OWN = "webhook_url"  # the target that a job brought along


def owed_to(record: Record, registrations: Iterable[str]) -> list[str]:
    """The ids of the targets; `registrations` as JSON, the owner's."""
    known: list[dict[str, Any]] = [json.loads(one) for one in registrations]
    event = f"job.{record.state}"
    targets = [one["id"] for one in known if event in one["events"]]
    own = record.webhook_url
    if own is not None and all((one["url"], one["wire"]) != (own, "separate") for one in known):
        targets.append(ITS_OWN)
    return targets
