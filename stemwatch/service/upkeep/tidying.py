"""The service's slow task: tidies each inbox's quarantine and archive, at the start and later."""

from __future__ import annotations

import asyncio

from stemwatch.errors import JournalFault, StemwatchError
from stemwatch.log import log
from stemwatch.service.inboxes import AllServed
from stemwatch.service.upkeep import archive_age, ghosts
from stemwatch.workers.context import Context


async def keep(ctx: Context, inboxes: AllServed, days: archive_age.Days) -> None:
    """Tidy up until cancelled. An inbox whose disks are away is left for the next time."""
    while True:
        for served in inboxes.every:
            if not served.away:
                await _tidied(ctx, served.name, days)
        await asyncio.sleep(ctx.timing.tidy)


async def _tidied(ctx: Context, inbox: str | None, days: archive_age.Days) -> None:
    try:
        await ghosts.strike(ctx, inbox)
        if (kept := days(inbox)) is not None:
            await archive_age.delete_old(ctx, inbox, kept)
    except JournalFault:
        raise
    except StemwatchError as fault:  # such as a full disk: it is tried again
        log.debug("upkeep.held", inbox=inbox, code=fault.code, message=fault.message)
