"""`stemwatch retry`: bring files back from quarantine, without paying twice."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

import click

from stemwatch.codes import Code
from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.commands.control.picking import FAILED, USAGE, agreed, pick
from stemwatch.config import Settings
from stemwatch.errors import StemwatchError
from stemwatch.job import Job, JobState
from stemwatch.journal.every import every
from stemwatch.journal.journal import Journal
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.operations import retrying
from stemwatch.operations.ended.forgetting import forget_lost
from stemwatch.operations.mounted_folders import Disks, own_hints
from stemwatch.operations.retrying import Vanished, bring_back
from stemwatch.operations.status import is_running, listed
from stemwatch.ui import status_lists, text


@click.command("retry")
@click.argument("names", nargs=-1, type=click.UNPROCESSED, metavar="[NAME|ID]...")
@click.option("--all", "everything", is_flag=True, help="All that is in quarantine.")
@click.option("--yes", is_flag=True, help="Also what may be charged again, without asking.")
@click.option("--forget", "strike", is_flag=True,
              help="Retry nothing: strike off the named, or all, whose file is gone.")  # fmt: skip
@config_option
def command(
    names: tuple[str, ...], everything: bool, yes: bool, strike: bool, config_file: str | None
) -> int:
    """Bring files back from quarantine; they go on where the money was already spent.

    NAME is a file's name, its path below the inbox, or its path in the quarantine; ID is what
    `stemwatch status` shows. Without either: lists what could be retried. Works whether the
    service runs or not. Exits 1 if one can't be retried or is not known, 2 if a name means several.

    With --forget nothing moves: entries whose file you took out of the quarantine are struck from
    the list; those whose file is still there are kept (exit code 1 if they were named).
    """
    if names and everything:
        raise click.UsageError("Give names or --all, not both.")
    settings = settings_or_defaults(config_file)
    everything = everything or (strike and not names)
    return asyncio.run(_retry(settings, names, everything=everything, yes=yes, strike=strike))


async def _retry(
    settings: Settings, names: Sequence[str], *, everything: bool, yes: bool, strike: bool
) -> int:
    path = os.path.join(settings.state_dir, JOURNAL)
    reading = ReadOnlyJournal(path)
    try:
        jobs = [job async for job in every(reading, (JobState.QUARANTINED,))]
        if not jobs and not names:
            text.say("Nothing is in quarantine.")
            return 0
        if not names and not everything:
            return _list(jobs)
        picked, fault = await pick(reading, jobs, names)
    finally:
        reading.close()
    if fault:
        return fault
    journal = Journal(path)
    try:
        if strike:
            return await _forget(journal, picked, settings, named=bool(names))
        return await _bring_back(journal, picked, settings, yes=yes)
    finally:
        journal.close()


async def _bring_back(
    journal: Journal, picked: Sequence[Job], settings: Settings, *, yes: bool
) -> int:
    going = agreed(
        picked,
        _charged_again,
        question="Submit it again?",
        nothing="Nothing was retried.",
        yes=yes,
    )
    if going is None:
        return USAGE
    running = is_running(settings.state_dir)
    disks = Disks(journal)
    results = [await _one(journal, job, settings, disks, running=running) for job in going]
    theirs = [done for job, done in zip(going, results, strict=True) if job.origin != "split"]
    if any(theirs) and not running:
        text.say("The service is not running: they go on when `stemwatch run` is started.")
    return 0 if all(results) else FAILED


async def _forget(
    journal: Journal, picked: Sequence[Job], settings: Settings, *, named: bool
) -> int:
    """Remove entries without a file from the list; returns the exit code. No file is touched."""
    running = is_running(settings.state_dir)
    disks = Disks(journal)
    found = [await _strike(journal, job, settings, disks, running=running) for job in picked]
    struck, unsure = found.count(True), found.count(None)
    kept = len(found) - struck
    text.say(f"Struck: {struck}, kept: {kept}.")
    return FAILED if unsure or (named and kept) else 0


async def _strike(
    journal: Journal, job: Job, settings: Settings, disks: Disks, *, running: bool
) -> bool | None:
    """Strike one entry and print that; False: its file is there, None: nobody can tell."""
    try:
        with own_hints():
            path = await forget_lost(journal, job, settings, disks, running=running)
    except StemwatchError as fault:
        text.say(f"{job.id} {job.name}: kept. {fault}", err=True)
        return None
    told = "struck from the list." if path is None else f"kept, its file is there: {path}"
    text.say(f"{job.id} {job.name}: {told}")
    return path is None


def _list(jobs: Sequence[Job]) -> int:
    console = text.console()
    for job in jobs:
        for line in status_lists.of_quarantined(listed(job), time.time()):
            console.print(line, soft_wrap=True)
    text.say(f"In quarantine: {len(jobs)}. `stemwatch retry --all` brings all of them back.")
    return 0


def _charged_again(job: Job) -> str | None:
    if job.code != Code.SUBMISSION_UNCONFIRMED:
        return None
    return (
        "it may have been charged already, and would be charged again: look in your StemSplit "
        "dashboard first. `--yes` submits it again."
    )


async def _one(
    journal: Journal, job: Job, settings: Settings, disks: Disks, *, running: bool
) -> bool:
    """Retry one job and print the result; False if it stays in quarantine."""
    try:
        inbox = retrying.inbox_of(settings, job)
        with own_hints():
            done = await bring_back(journal, job, inbox, disks, running=running)
    except Vanished as fault:
        text.say(f"{job.id} {fault.message}", err=True)
        if text.can_ask() and click.confirm("Strike it from the list?"):
            return bool(await _strike(journal, job, settings, disks, running=running))
        text.say(f"  {fault.hint}", err=True)
        return False
    except StemwatchError as fault:
        text.say(f"{job.id} {fault}", err=True)
        return False
    text.say(f"{job.id} {job.name} {done.words}: {done.path}")
    if job.origin == "split":
        text.say("  Run the same `stemwatch split` again to go on with it.")
    return True
