"""Settings that pace a run, computed at the start and applied again at every reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stemwatch.config import Settings
from stemwatch.patterns import ResultNames
from stemwatch.wiring.spending import budget_of
from stemwatch.wiring.submitting_hours import hours_of
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.budget import Budget
from stemwatch.workers.pacing.hours import Hours


@dataclass(frozen=True, slots=True)
class Tuning:
    """The pace of a run.

    `at_once` is the number of songs separated at a time, where this machine does not separate:
    there its server says. `interval` is the seconds between two polls of a job, `per_minute` the
    number of requests.
    """

    at_once: int
    interval: float
    per_minute: int
    budget: Budget
    names: Mapping[str | None, ResultNames]
    hours: Mapping[str | None, Hours]


def tuning(settings: Settings) -> Tuning:
    """The pace that `settings` ask for. Where this machine separates, no quota and price apply."""
    api, local = settings.api, settings.local
    return Tuning(
        at_once=api.max_concurrent,
        interval=min(api.poll_interval, 0.5) if local else api.poll_interval,
        per_minute=6000 if local else api.requests_per_minute,
        budget=budget_of(settings),
        names=_names(settings),
        hours=hours_of(settings),
    )


def _names(settings: Settings) -> dict[str | None, ResultNames]:
    """The patterns of each inbox; those of a `split` are the top level's, under None."""
    every = {inbox.name: inbox.outbox.names for inbox in settings.every_inbox}
    return {None: settings.outbox.names, **every}


def retune(context: Context, settings: Settings) -> None:
    """Give a running service the pace (and the form of tags) of `settings`; steps go on."""
    chosen, timing = tuning(settings), context.timing
    deadline = settings.api.job_deadline
    context.budget = chosen.budget
    context.whole_tempo = settings.tags.bpm == "whole"
    context.serato = settings.tags.serato
    context.names = chosen.names
    context.preparing.upload = settings.prepare.upload
    context.preparing.low_bitrate = settings.prepare.low_bitrate
    context.hours = chosen.hours
    if not context.local:  # else the server goes on with the seats of its start
        context.slots.resize(chosen.at_once)
    context.requests.resize(chosen.per_minute)
    context.polls.set_pace(chosen.interval, timing.poll_min, deadline, timing.late_poll)
    context.bell.wake()
