"""The service's slow task: tidies each inbox's quarantine and archive, at the start and later."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from stemwatch.errors import JournalFault, StemwatchError
from stemwatch.log import log
from stemwatch.service.inboxes import AllServed, Served
from stemwatch.service.upkeep import archive_age, ghosts
from stemwatch.service.upkeep.held import Held
from stemwatch.service.upkeep.steady_clock import is_steady
from stemwatch.tasks import side_by_side
from stemwatch.workers.context import Context


async def keep(ctx: Context, inboxes: AllServed, days: archive_age.Days) -> None:
    """Tidy up until cancelled: each inbox by itself, since its disks may hang."""
    clock = asyncio.Lock()
    works = (_keep(ctx, served, days, clock) for served in inboxes.every)
    await side_by_side(works, name="tidying")


async def _keep(ctx: Context, served: Served, days: archive_age.Days, clock: asyncio.Lock) -> None:
    """Tidy up one inbox. While its disks are away, it is left for the next time."""
    held = Held()
    while True:
        held.begin()
        if not served.away:
            await _tried(served.name, ghosts.strike(ctx, served.name, held))
        if (kept := days(served.name)) is not None:
            await _tried(served.name, _archive(ctx, served, kept, held, clock))
        await asyncio.sleep(ctx.timing.tidy)


async def _archive(
    ctx: Context, served: Served, days: float, held: Held, clock: asyncio.Lock
) -> None:
    async with clock:  # one jump is told once
        now = ctx.now()  # asked once: a jump meanwhile would make all of the archive old
        # While its disks are away, too: what nobody looks at for a month seems to have jumped.
        steady = await is_steady(ctx.journal, now)
    if steady and not served.away:
        await archive_age.delete_old(ctx, served.name, days, now=now, held=held)


async def _tried(inbox: str | None, work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except JournalFault:
        raise
    except StemwatchError as fault:  # such as a disk that is away: it is tried again
        log.debug("upkeep.held", inbox=inbox, code=fault.code, message=fault.message)
