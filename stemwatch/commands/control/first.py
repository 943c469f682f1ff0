"""`stemwatch first`: this waiting song goes next."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from stemwatch.codes import SUBMIT, UNPACK, Code, rule_of
from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.commands.control.picking import FAILED, Among, pick
from stemwatch.config import Settings
from stemwatch.disks.doorbell import ring
from stemwatch.job import Job, JobState
from stemwatch.journal.every import every
from stemwatch.journal.journal import Journal
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.operations.status import as_it_runs, pauses, service
from stemwatch.ui import text

_WAITING = Among(
    "waiting in the service's queue",
    "A song in the inbox is known once it is whole: `stemwatch status` tells.",
)
_ENDS = {
    Code.ON_HOLD: "the pause is over (`stemwatch resume` ends it)",
    Code.OFF_HOURS: "the hours of `schedule.submit` begin",
}


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
    running, live = service(settings.state_dir)
    live = live or {}
    reading = ReadOnlyJournal(path)
    try:
        waiting = [job async for job in every(reading, (JobState.QUEUED,)) if job.owner is None]
        songs, fault = await pick(reading, waiting, names, _WAITING)
        held = await pauses(live, as_it_runs(settings, live), reading, time.time())
    finally:
        reading.close()
    if fault:
        return fault
    journal = Journal(path)
    try:
        late = await journal.put_first([job.id for job in songs])
    finally:
        journal.close()
    ring(settings.state_dir)
    for job in songs:
        told = "was submitted just now." if job.id in late else _next(job, held)
        text.say(f"{job.id} {job.name} {told}")
    if not running:
        text.say("The service is not running: songs go on when `stemwatch run` is started.")
    return 0


def _next(job: Job, held: Sequence[Mapping[str, Any]]) -> str:
    """That it goes next, and what has to be over before."""
    lane = UNPACK if job.at_hand else SUBMIT
    ends = [
        _ENDS.get(pause["code"], f"the pause `{pause['code']}` is over")
        for pause in held
        if lane in rule_of(pause["code"]).holds and pause["inbox"] in (None, job.inbox)
    ]
    return f"goes next once {' and '.join(ends)}." if ends else "goes next."
