"""Which webhooks are to be told of a job's end, by their registrations. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stemwatch.server.work.record import Record

ITS_OWN = "webhook_url"  # the target that a job brought along


def owed_to(record: Record, registrations: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of the targets; `registrations`: the fields of the owner's."""
    known = list(registrations)
    event = f"job.{record.state}"
    targets = [one["id"] for one in known if event in one["events"]]
    own = record.webhook_url
    if own is not None and all((one["url"], one["wire"]) != (own, "separate") for one in known):
        targets.append(ITS_OWN)
    return targets
