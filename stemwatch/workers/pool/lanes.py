"""Lanes: the seats of the pool, the tasks that sit in them, and how a stop empties them.

A lane does one kind of step. A seat holds one task, which does one step of one job and ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stemwatch.codes import FILE, POLL, SUBMIT
from stemwatch.errors import PauseService, RetryLater, StemwatchError, Unconfirmed
from stemwatch.job import Job, JobState
from stemwatch.journal.journal import StaleJob
from stemwatch.tasks import supervised
from stemwatch.workers.context import Context, Step
from stemwatch.workers.holding_back import pause
from stemwatch.workers.pool.choosing.lanes_to_ask import LanesToAsk
from stemwatch.workers.pool.ended_songs import forget, has_ended
from stemwatch.workers.pool.outcome import conclude

_GRACE = 1.0  # seconds that a commit under way still has at an immediate stop


@dataclass(slots=True)
class Lane:
    """The seats of one kind of step: `tasks` by job id.

    `jobs` holds the jobs of those tasks whose row was known when they began. `hung` are the ids of
    those that a disk holds up: they take no seat (see `Hung`).
    """

    step: Step
    seats: int
    tasks: dict[int, asyncio.Task[Job | None]] = field(default_factory=dict)
    jobs: dict[int, Job] = field(default_factory=dict)
    hung: set[int] = field(default_factory=set)
    freed: Callable[[], None] = lambda: None  # called when a seat becomes free

    @property
    def taken(self) -> int:
        return len(self.tasks) - len(self.hung)

    @property
    def free(self) -> int:
        return self.seats - self.taken


class Lanes:
    """All lanes of one pool. `fatal` is the fault that ends the pool, if there is one."""

    def __init__(self, ctx: Context, lanes: dict[str, Lane], unseen: LanesToAsk) -> None:
        self._ctx = ctx
        self._lanes = lanes
        self._unseen = unseen
        # Rows of remote jobs as their last step left them: a poll needs no read of the journal.
        self._remote: dict[int, Job] = {}
        self._stopping = False
        self.fatal: BaseException | None = None
        self.ended = 0  # steps so far; if it stands still while seats are taken, something hangs

    def __getitem__(self, name: str) -> Lane:
        return self._lanes[name]

    @property
    def busy(self) -> bool:
        """Whether a step is under way that its disk does not hold up."""
        return any(lane.taken for lane in self._lanes.values())

    async def drain(self, patience: float, costly: float = 0.0) -> None:
        """Stop polls and downloads at once, and wait for filing and for submissions that may cost.

        The wait is at most `patience` seconds; for submissions that may cost, at most `costly`
        seconds if that is longer.
        """
        self._stopping = True
        waited = set(self._ctx.critical)
        for name, lane in self._lanes.items():
            for job_id, task in lane.tasks.items():
                waited.add(task)
                if name != FILE and not (name == SUBMIT and job_id in self._ctx.committed):
                    task.cancel()
        while waited:
            done, left = await asyncio.wait(waited, timeout=patience)
            if left and costly > patience:
                left = await self._wait_for_answers(left, costly - patience)
            if left:
                # No task may outlive the journal and the API's client: they are closed next.
                self.abort()
                await asyncio.wait(left, timeout=2 * _GRACE)
                break
            waited = set(self._ctx.critical) - done

    async def _wait_for_answers(
        self, left: set[asyncio.Task[Any]], seconds: float
    ) -> set[asyncio.Task[Any]]:
        """Wait longer for submissions that may have been charged, and cancel all other tasks.

        Returns the tasks that have not ended after `seconds`.
        """
        submitting = self._lanes[SUBMIT].tasks
        costly = {submitting[job_id] for job_id in self._ctx.committed if job_id in submitting}
        for task in left - costly - self._ctx.critical:
            task.cancel()
        return (await asyncio.wait(left, timeout=seconds))[1]

    def abort(self) -> None:
        """Cancel all tasks now. The next start recovers what they leave undecided."""
        for lane in self._lanes.values():
            for task in lane.tasks.values():
                task.cancel()
        # A commit may hold a remote id, which is worth a song's price, and takes milliseconds.
        asyncio.get_running_loop().call_later(_GRACE, self._cancel_critical)

    def _cancel_critical(self) -> None:
        for critical in self._ctx.critical:
            critical.cancel()

    def start(self, name: str, job_id: int, job: Job | None) -> None:
        """Give the job a seat. With `job` None its row comes from the last step or the journal."""
        if self._stopping:  # the drain, which began during this turn, would not see a new task
            return
        lane = self._lanes[name]
        job = job or self._remote.get(job_id)
        if job is not None:
            lane.jobs[job_id] = job
        task = supervised(self._one(name, job_id, job), self._broken)
        lane.tasks[job_id] = task
        task.add_done_callback(lambda ended: self._ended(name, job_id, ended))

    def fail(self, fault: BaseException) -> None:
        """Note a fault of our own, and have the pool raise it in its next turn, at once."""
        self.fatal = self.fatal or fault
        self._ctx.bell.hurry()

    def _broken(self, fault: BaseException) -> None:
        if isinstance(fault, PauseService):  # the journal could not be read
            pause(self._ctx, fault)
        else:
            self.fail(fault)

    def _ended(self, name: str, job_id: int, task: asyncio.Task[Job | None]) -> None:
        try:
            self._give_back(name, job_id, task)
        except Exception as fault:  # asyncio would only log it, and a seat or a poll would be lost
            self.fail(fault)

    def _give_back(self, name: str, job_id: int, task: asyncio.Task[Job | None]) -> None:
        lane = self._lanes[name]
        self.ended += 1
        lane.tasks.pop(job_id, None)
        lane.jobs.pop(job_id, None)
        lane.hung.discard(job_id)
        if name == SUBMIT:
            self._ctx.committed.discard(job_id)
            self._ctx.ahead.ended(job_id)
        if self._ctx.gate.on_trial == job_id:
            self._ctx.gate.on_trial = None
        self._left(job_id, task)
        fault = None if task.cancelled() else task.exception()
        if isinstance(fault, PauseService):
            self._ctx.polls.postpone(job_id, self._ctx.clock(), self._ctx.timing.disk_recheck)
        if name == POLL:  # a job whose end the journal had no room for is polled again
            self._ctx.polls.let_go(job_id, self._ctx.clock(), self._ctx.timing.disk_recheck)
        lane.freed()
        self._ctx.bell.hurry()

    def _left(self, job_id: int, task: asyncio.Task[Job | None]) -> None:
        """Note which lane can go on with the job, and keep its row for the next poll."""
        job = None if task.cancelled() or task.exception() is not None else task.result()
        if job is not None:
            self._unseen.left(job, watched=job_id in self._ctx.polls)
        if job is not None and job.state is JobState.SEPARATING and job.code is None:
            self._remote[job_id] = job
        else:
            self._remote.pop(job_id, None)

    async def _one(self, name: str, job_id: int, job: Job | None) -> Job | None:
        """Do one step of one job, and conclude whatever fault it raises, once.

        Returns the job as the journal has it now; None: the journal does not know it.
        """
        ctx = self._ctx
        job = job or await ctx.journal.get(job_id)
        if job is None or (name == POLL and job.state is not JobState.SEPARATING):
            ctx.polls.done(job_id, ctx.clock(), learn=False)
            ctx.slots.release(job_id)
            return job
        before = job
        began = ctx.clock()
        try:
            job = await self._lanes[name].step(ctx, job)
        except Exception as fault:
            if name in (SUBMIT, POLL) and _answered(fault):
                ctx.gate.answered(began)
            try:
                await conclude(ctx, job, fault)
            except StaleJob:
                pass  # the inbox ended the job first: its file was replaced
            except PauseService as full:
                pause(ctx, full)
            job = await ctx.journal.get(job_id) or job
        else:
            ctx.memory.unforeseen.passed(job_id, before.state)
            if job.state is not JobState.QUEUED:  # that it was not taken is no success
                ctx.memory.overtaken.forget(job_id)
            ctx.troubles.passed(job_id)
            if job.state is JobState.DELIVERED:
                ctx.memory.delivered(job.content_key)
            if name in (SUBMIT, POLL):
                ctx.gate.answered(began)
        if job.state not in (JobState.SEPARATING, JobState.SEPARATED):
            ctx.progress.end(job_id)
            ctx.space.release(job_id)
        ctx.progress.touch()  # the journal's counts changed, and status.json shows them
        if ended := has_ended(job):
            forget(ctx, job_id)
        # A job that can't be filed is reported as soon as that is known, and not again at its end.
        if before.unfiled is None and (ended or job.unfiled is not None):
            ctx.bell.ended(job)
        return job


def _answered(fault: Exception) -> bool:
    """Whether the fault is an answer of a working server, not of a gateway in front of it."""
    if isinstance(fault, Unconfirmed) or (isinstance(fault, RetryLater) and fault.server_down):
        return False
    return isinstance(fault, StemwatchError) and getattr(fault, "http_status", None) is not None
