"""`stemwatch first`: this waiting song goes next."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import click

from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.commands.control.picking import FAILED, Among, pick
from stemwatch.config import Settings
from stemwatch.disks.doorbell import ring
from stemwatch.job import JobState
from stemwatch.journal.every import every
from stemwatch.journal.journal import Journal
from stemwatch.journal.schema import JOURNAL
from stemwatch.ui import text

_WAITING = Among(
    "waiting in the service's queue",
    "A song in the inbox is known once it is whole: `stemwatch status` tells.",
)


@click.command("first")
@click.argument("names", nargs=-1, required=True, type=click.UNPROCESSED, metavar="NAME|ID...")
@config_option
def command(names: tuple[str, ...], config_file: str | None) -> int:
    """Submit these waiting songs next, in this order.

    NAME is a file's name or its path below the inbox; ID is what this command lists where a name
    means several. What is being uploaded already goes on. Called again, the songs named then go
    before those of the earlier call. Works whether the service runs or not. Exits 1 if a song does
    not wait, 2 if a name means several; then nothing is changed.
    """
    return asyncio.run(_first(settings_or_defaults(config_file), names))


async def _first(settings: Settings, names: Sequence[str]) -> int:
    path = os.path.join(settings.state_dir, JOURNAL)
    if not os.path.exists(path):
        text.say("No journal yet: nothing has been dropped so far.", err=True)
        return FAILED
    journal = Journal(path)
    try:
        waiting = [job async for job in every(journal, (JobState.QUEUED,)) if job.owner is None]
        songs, fault = await pick(journal, waiting, names, _WAITING)
        if fault:
            return fault
        late = await journal.put_first([job.id for job in songs])
    finally:
        journal.close()
    ring(settings.state_dir)
    for job in songs:
        told = "was submitted just now." if job.id in late else "goes next."
        text.say(f"{job.id} {job.name} {told}")
    return 0
