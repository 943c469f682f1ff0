"""The hours of each inbox, by the configuration. Light: `status` asks for them too."""

from __future__ import annotations

from stemwatch.config import Settings
from stemwatch.workers.pacing.hours import Hours


def hours_of(settings: Settings) -> dict[str | None, Hours]:
    """The hours of each inbox that has some. A server on this machine keeps them too."""
    return {
        inbox.name: Hours(inbox.schedule.windows, submit, inbox.key("schedule.submit"))
        for inbox in settings.every_inbox
        if (submit := inbox.schedule.submit) is not None
    }
