"""The owner's budget from the configuration, and a plain document of what was spent."""

from __future__ import annotations

from typing import Any

from stemwatch.config import Settings
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.outbox.sidecar import rfc3339
from stemwatch.workers.pacing import budget
from stemwatch.workers.pacing.budget import Budget


def budget_of(settings: Settings) -> Budget:
    """The owner's budget; without limits where this machine separates, which costs nothing."""
    limits = settings.budget
    if settings.local:
        return Budget(price=0.0, per_day=None, per_month=None)
    return Budget(
        price=limits.price_per_minute,
        per_day=limits.minutes_per_day,
        per_month=limits.minutes_per_month,
        own={
            name: Budget(
                price=limits.price_per_minute,
                per_day=inbox.budget.minutes_per_day,
                per_month=inbox.budget.minutes_per_month,
                inbox=name,
            )
            for name, inbox in settings.inboxes.items()
        },
    )


async def spending(
    limits: Budget, journal: ReadOnlyJournal, now: float, inbox: str | None = None
) -> dict[str, Any]:
    """The `budget` of `stemwatch status --json`, of one inbox or (None) of all inboxes together.

    Limits and spend are minutes of audio; `now` is in Unix seconds.
    """
    left = await limits.left(journal, now, inbox)
    held = 0
    if left.minutes is not None:
        held = await journal.held_by_budget(left.minutes * 60.0, inbox)
    mine = limits.of(inbox)
    periods = {
        "today": (budget.start_of_day(now), mine.per_day, budget.next_day(now)),
        "month": (budget.start_of_month(now), mine.per_month, budget.next_month(now)),
    }
    document: dict[str, Any] = {"price_per_minute": limits.price, "left": left.minutes}
    for name, (since, limit, renewed) in periods.items():
        minutes, price = await journal.spent(since, inbox)
        document[name] = {
            "minutes": round(minutes, 3),
            "price": round(price, 4),
            "limit": limit,
            "renewed_at": rfc3339(renewed),
        }
    document["holding"] = (
        {"files": held, "until": rfc3339(left.until), "key": left.key} if held else None
    )
    return document
