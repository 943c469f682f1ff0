"""Finds the songs that a command names, and asks about those that cost something."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import click

from stemwatch.job import ACTIVE, IN_OUTBOX, Job, JobState
from stemwatch.journal.every import every
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.operations.named_songs import chosen, nearest
from stemwatch.ui import text

FAILED, USAGE = 1, 2
_DELIVERIES = 100  # of songs with the name that is asked for


@dataclass(frozen=True, slots=True)
class Among:
    """Which songs may be named, for messages: `in quarantine`, and what lists them."""

    state: str
    lister: str


QUARANTINE = Among("in quarantine", "`stemwatch retry` lists what there is.")


async def pick(
    journal: ReadOnlyJournal, jobs: Sequence[Job], names: Sequence[str], among: Among = QUARANTINE
) -> tuple[list[Job], int]:
    """The jobs that `names` mean, in order, and the exit code: 0, or that of a bad name.

    Without names it is all of `jobs`. Bad names are printed, with what they may have meant.
    """
    if not names:
        return list(jobs), 0
    picked: dict[int, Job] = {}
    fault = 0
    for name in names:
        found = chosen(jobs, name, os.getcwd())
        if len(found) == 1:
            picked[found[0].id] = found[0]
        elif found:
            fault = USAGE
            text.say(f"{name} means several; name one by its id:", err=True)
            for job in found:
                text.say(f"  {job.id}  {job.filed_to or job.path}", err=True)
        else:
            fault = fault or FAILED
            text.say(await _unknown(journal, jobs, name, among), err=True)
    return list(picked.values()), fault


async def _unknown(journal: ReadOnlyJournal, jobs: Sequence[Job], name: str, among: Among) -> str:
    job = await _elsewhere(journal, name)
    if job is not None:
        who = f"Job {name} ({job.name})" if name == str(job.id) else name
        if job.state in IN_OUTBOX and job.delivered_to is not None:
            return f"{who} is not {among.state}: it was delivered to {job.delivered_to}."
        return f"{who} is {job.state}, not {among.state}."
    near = nearest(jobs, name)
    hint = f"Did you mean {', '.join(near)}?" if near else among.lister
    return f"{name} is not {among.state}. {hint}"


async def _elsewhere(journal: ReadOnlyJournal, name: str) -> Job | None:
    """The job of another state that `name` means; of the delivered ones the last."""
    if name.isdecimal() and len(name) < 18 and (job := await journal.get(int(name))) is not None:
        return job
    here = os.getcwd()
    async for job in every(journal, (*ACTIVE, JobState.QUARANTINED)):
        if chosen([job], name, here):
            return job
    words = [os.path.basename(name)]
    done = await journal.with_stems(words=words, limit=_DELIVERIES)
    return next(iter(chosen(done, name, here)), None)


def agreed(
    jobs: Sequence[Job],
    costs: Callable[[Job], str | None],
    *,
    question: str,
    nothing: str,
    yes: bool,
) -> list[Job] | None:
    """The jobs that may go on; None: a person has to decide, and can't be asked here.

    `costs` says what one song costs, as a sentence; None: nothing. `nothing` is printed where
    nobody can be asked.
    """
    costly = {job.id: words for job in jobs if (words := costs(job)) is not None}
    if not costly or yes:
        return list(jobs)
    if not text.can_ask():
        for job in jobs:
            if job.id in costly:
                text.say(f"{job.id} {job.name}: {costly[job.id]}", err=True)
        text.say(nothing, err=True)
        return None
    return [job for job in jobs if job.id not in costly or _confirmed(job, costly, question)]


def _confirmed(job: Job, costly: dict[int, str], question: str) -> bool:
    text.say(f"{job.id} {job.name}: {costly[job.id]}")
    return click.confirm(question)
