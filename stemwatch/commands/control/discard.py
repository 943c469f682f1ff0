"""`stemwatch discard`: end songs in quarantine; their files go to the archive, or are deleted."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass

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
from stemwatch.operations.ended.putting_aside import given_up, put_aside
from stemwatch.operations.mounted_folders import Disks, own_hints
from stemwatch.operations.status import is_running
from stemwatch.operations.words import counted
from stemwatch.ui import text


@dataclass(frozen=True, slots=True)
class _Wish:
    names: Sequence[str]
    code: str | None
    delete: bool
    yes: bool


@click.command("discard")
@click.argument("names", nargs=-1, type=click.UNPROCESSED, metavar="[NAME|ID]...")
@click.option("--all", "everything", is_flag=True, help="All that is in quarantine.")
@click.option("--code", metavar="CODE", help="With --all: only those with this reason's code.")
@click.option("--delete", is_flag=True, help="Delete the files; they do not go to the archive.")
@click.option("--yes", is_flag=True, help="Without asking: also what is paid for, and all files.")
@config_option
def command(
    names: tuple[str, ...],
    everything: bool,
    code: str | None,
    delete: bool,
    yes: bool,
    config_file: str | None,
) -> int:
    """End songs in quarantine: their files go to the archive, their reason files are removed.

    The archive takes files only with `folders.after_success: archive`; otherwise give --delete, or
    move them away yourself.

    NAME is a file's name, its path below the inbox, or its path in the quarantine; ID is what
    `stemwatch status` shows. Works whether the service runs or not, and may be repeated after a
    kill. What may be paid for is asked about, or needs --yes. Exits 1 if one can't be discarded or
    is not known, 2 if a name means several or nobody can be asked.
    """
    if bool(names) == everything:
        raise click.UsageError("Give names, or --all.")
    if code is not None:
        if not everything:
            raise click.UsageError("--code goes with --all.")
        _require_known(code)
    settings = settings_or_defaults(config_file)
    return asyncio.run(_discard(settings, _Wish(names, code, delete, yes)))


def _require_known(code: str) -> None:
    known = [str(one) for one in Code]
    if code not in known:
        near = difflib.get_close_matches(code.lower(), known, n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]}?" if near else "`stemwatch status` shows the codes."
        raise click.UsageError(f"There is no code {code!r}. {hint}")


async def _discard(settings: Settings, wish: _Wish) -> int:
    path = os.path.join(settings.state_dir, JOURNAL)
    reading = ReadOnlyJournal(path)
    try:
        every_one = every(reading, (JobState.QUARANTINED,))
        jobs = [job async for job in every_one if wish.code in (None, job.code)]
        picked, fault = await pick(reading, jobs, wish.names)
    finally:
        reading.close()
    if fault:
        return fault
    if not picked:
        text.say("Nothing is in quarantine" + (f" with {wish.code}." if wish.code else "."))
        return 0
    going = _agreed(picked, wish)
    if going is None:
        return USAGE
    running = is_running(settings.state_dir)
    journal = Journal(path)
    try:
        disks = Disks(journal)
        done = [await _one(journal, job, settings, disks, wish, running=running) for job in going]
    finally:
        journal.close()
    return 0 if all(done) else FAILED


def _agreed(jobs: Sequence[Job], wish: _Wish) -> list[Job] | None:
    """Those that may be discarded; None: a person has to decide, and can't be asked here."""
    if wish.delete and not wish.names and not wish.yes:
        count = counted(len(jobs), "file")
        if not text.can_ask():
            text.say(f"This would delete {count}: add --yes. Nothing was discarded.", err=True)
            return None
        if not click.confirm(f"Delete {count}?"):
            return []
    return agreed(
        jobs,
        given_up,
        question="Discard it?",
        nothing="Nothing was discarded. --yes discards them.",
        yes=wish.yes,
    )


async def _one(
    journal: Journal, job: Job, settings: Settings, disks: Disks, wish: _Wish, *, running: bool
) -> bool:
    """Discard one job and print what became of its file; False if it stays in quarantine."""
    try:
        with own_hints():
            aside = await put_aside(
                journal, job, settings, disks, running=running, delete=wish.delete
            )
    except StemwatchError as fault:
        text.say(f"{job.id} {fault}", err=True)
        return False
    if job.origin == "split":
        where = f"its file stays where it is: {aside.path}"
    elif aside.path is not None:
        where = f"its file is in the archive: {aside.path}"
    else:
        where = "its file is deleted" if wish.delete else "its file was gone already"
    text.say(f"{job.id} {job.name} is discarded; {where}.")
    return True
