"""`stemwatch again`: a delivered song is separated anew, and paid anew."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence

import click

from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.commands.control.picking import FAILED, USAGE, Among, agreed, pick
from stemwatch.config import Settings
from stemwatch.errors import StemwatchError
from stemwatch.job import Job, Options
from stemwatch.journal.journal import Journal
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.operations.ended.doing_again import Anew, do_again, planned
from stemwatch.operations.mounted_folders import Disks, own_hints
from stemwatch.operations.named_songs import chosen
from stemwatch.operations.status import as_it_runs, service
from stemwatch.ui import text

_DELIVERED = Among(
    "among the delivered songs", "`stemwatch history` lists their names, `--json` their ids."
)
_PAGE = 500


@click.command("again")
@click.argument("names", nargs=-1, type=click.UNPROCESSED, metavar="NAME|ID...", required=True)
@click.option("--yes", is_flag=True, help="Without asking, although it is paid for anew.")
@config_option
def command(names: tuple[str, ...], yes: bool, config_file: str | None) -> int:
    """Have delivered songs separated anew, with what the configuration says now.

    Every one is a new separation and is paid for anew, also where nothing has changed: that is
    asked first, or needs --yes. The original goes back from the archive into the inbox. The
    earlier folder stays; the new one is called `Song [1a2b3c4d]` beside it. NAME is the original's
    name, its path below the inbox or in the archive; ID is that of `stemwatch history --json`.
    Works whether the service runs or not, and may be repeated after a kill.
    """
    return asyncio.run(_again(settings_or_defaults(config_file), names, yes=yes))


async def _again(settings: Settings, names: Sequence[str], *, yes: bool) -> int:
    running, live = service(settings.state_dir)
    settings = as_it_runs(settings, live if running and live is not None else {})
    path = os.path.join(settings.state_dir, JOURNAL)
    reading = ReadOnlyJournal(path)
    try:
        picked, fault = await pick(reading, await _named(reading, names), names, _DELIVERED)
    finally:
        reading.close()
    if fault:
        return fault
    plans = _planned(picked, settings)
    going = agreed(
        [plan.before for plan in plans.values()],
        lambda job: _costs(plans[job.id], settings),
        question="Separate it anew?",
        nothing="Nothing was done. --yes pays for it.",
        yes=yes,
    )
    if going is None:
        return USAGE
    journal = Journal(path)
    try:
        disks = Disks(journal)
        done = [await _one(journal, plans[job.id], disks) for job in going]
    finally:
        journal.close()
    if any(done) and not running:
        text.say("The service is not running: they go on when `stemwatch run` is started.")
    return 0 if all(done) and len(plans) == len(picked) else FAILED


async def _named(journal: ReadOnlyJournal, names: Sequence[str]) -> list[Job]:
    """The delivered jobs that `names` may mean, newest first, and the last few for a suggestion.

    Of several deliveries of one song only the newest, unless the id of an older one is given.
    """
    found: list[Job] = []
    seen: set[tuple[str, str | None, str]] = set()
    async for job in _delivered(journal):
        if len(found) >= _PAGE and not any(chosen([job], name, os.getcwd()) for name in names):
            continue
        song = (job.sha256, job.inbox, job.relpath)
        if song not in seen or str(job.id) in names:
            found.append(job)
        seen.add(song)
    return found


async def _delivered(journal: ReadOnlyJournal) -> AsyncIterator[Job]:
    before: int | None = None
    while page := await journal.with_stems(before=before, limit=_PAGE):
        for job in page:
            yield job
        before = page[-1].id


def _planned(jobs: Sequence[Job], settings: Settings) -> dict[int, Anew]:
    """What each job is to become, by its id; those that can't be done again are told."""
    plans: dict[int, Anew] = {}
    for job in jobs:
        try:
            plans[job.id] = planned(job, settings)
        except StemwatchError as fault:
            text.say(f"{job.id} {fault}", err=True)
    return plans


def _costs(plan: Anew, settings: Settings) -> str | None:
    if settings.local or plan.before.at_hand:
        return None
    budget = settings.budget
    price = text.money(plan.minutes * budget.price_per_minute, budget.currency)
    what = _shown(plan.options)
    if (was := _shown(plan.before.options)) != what:
        what = f"{what} (before: {was})"
    return f"{plan.minutes:.2f} minutes are paid for anew, {price}: {what}."


def _shown(options: Options) -> str:
    return f"{options.stems} stems in {options.format}"


async def _one(journal: Journal, plan: Anew, disks: Disks) -> bool:
    """Do one song again and print what happens; False if it can't be."""
    try:
        with own_hints():
            done = await do_again(journal, plan, disks, time.time())
    except StemwatchError as fault:
        text.say(f"{plan.before.id} {fault}", err=True)
        return False
    text.say(
        f"{done.job.id} {done.job.name} {done.words}; {plan.before.delivered_to} stays as it is."
    )
    return True
