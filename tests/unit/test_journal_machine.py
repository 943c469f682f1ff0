"""The journal against a model of it: any order of transitions, reopened at any moment."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from stemwatch.job import TRANSITIONS, Job, JobState, resume_state
from stemwatch.journal.journal import AlreadyPaid, Journal, Limit, OverBudget, StaleJob
from stemwatch.journal.transactions import ForbiddenTransition
from tests.support.journal import new_job

T = TypeVar("T")
UNDER_WAY = {JobState.SUBMITTING, JobState.SEPARATING, JobState.SEPARATED}
DAY = 20.0  # minutes that the model's owner allows


@dataclass
class Known:
    """What the model holds of one job: how it is now, and every state it ever was in."""

    job: Job
    states: list[JobState]


class JournalMachine(RuleBasedStateMachine):
    """Rules are what the service does; the invariants are read back from the database."""

    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        memory = "/dev/shm"  # noqa: S108 - an fsync there costs nothing, and every rule has some
        self.folder = tempfile.TemporaryDirectory(dir=memory if Path(memory).is_dir() else None)
        self.path = str(Path(self.folder.name) / "journal.sqlite3")
        self.time = 1000.0
        self.journal = self.open()
        self.known: dict[int, Known] = {}
        self.booked: dict[str, float] = {}  # idempotency key -> minutes
        self.unconfirmed = 0.0  # minutes of tries that were followed by another with their key

    def open(self) -> Journal:
        return Journal(self.path, clock=self.tick)

    def tick(self) -> float:
        self.time += 1
        return self.time

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.journal.close()
        self.loop.close()
        self.folder.cleanup()

    # -- what happens ----------------------------------------------------------------------

    @rule(target=jobs, content=st.integers(1, 2), minutes=st.sampled_from([0.5, 3.0, 8.0]))
    def add(self, content: int, minutes: float) -> int:
        number = len(self.known) + 1
        job = new_job(number, content_key=f"content-{content}", duration=minutes * 60)
        added = self.run(self.journal.add(job))
        assert added.id not in self.known
        self.known[added.id] = Known(added, [JobState.QUEUED])
        return added.id

    @rule(job_id=jobs, to=st.sampled_from(list(JobState)))
    def advance(self, job_id: int, to: JobState) -> None:
        """Any move at all: the allowed ones happen, the others change nothing."""
        known = self.known[job_id]
        if to is JobState.SUBMITTING or known.job.state is JobState.SUBMITTING:
            return  # money moves by `intend`, `confirm`, `refuse` and `take_back` only
        if known.job.state is JobState.QUARANTINED and to is not JobState.GONE:
            return  # `retry`
        self.move(known, to)

    @rule(job_id=jobs, limited=st.booleans(), looked=st.booleans())
    def intend(self, job_id: int, limited: bool, looked: bool) -> None:
        known = self.known[job_id]
        job = known.job
        minutes = (job.duration or 0) / 60
        key = job.idempotency_key or f"intent-{self.tick()}"
        work = self.journal.intend(
            job,
            idempotency_key=key,
            minutes=minutes,
            price=0.1,
            limits=[Limit(0.0, DAY)] if limited else [],
            alike=self.ended(job) if looked else (),
        )
        if self.ended(job) and not looked:
            with pytest.raises(AlreadyPaid):
                self.run(work)
        elif limited and self.spent + minutes > DAY:
            with pytest.raises(OverBudget):
                self.run(work)
        elif job.state is not JobState.QUEUED:
            with pytest.raises(ForbiddenTransition):
                self.run(work)
        elif self.content_under_way(job):
            with pytest.raises(AlreadyPaid):
                self.run(work)
        else:
            self.now(known, self.run(work))
            self.unconfirmed += self.booked.get(key, 0.0)
            self.booked[key] = minutes

    @rule(job_id=jobs)
    def confirm(self, job_id: int) -> None:
        known = self.known[job_id]
        if known.job.state is JobState.SUBMITTING:
            self.move(known, JobState.SEPARATING, remote_id=f"remote-{job_id}")

    @rule(job_id=jobs)
    def take_back(self, job_id: int) -> None:
        """The server took nothing."""
        known = self.known[job_id]
        if known.job.state is not JobState.SUBMITTING:
            with pytest.raises(ForbiddenTransition):
                self.run(self.journal.take_back(known.job, "busy"))
            return
        self.now(known, self.run(self.journal.take_back(known.job, "busy")))
        self.booked.pop(known.job.idempotency_key or "")

    @rule(job_id=jobs)
    def refuse(self, job_id: int) -> None:
        """The server refused this file: not charged, and in quarantine."""
        known = self.known[job_id]
        if known.job.state is JobState.SUBMITTING:
            self.run(self.journal.unbook(known.job))
            self.booked.pop(known.job.idempotency_key or "")
            self.move(known, JobState.QUARANTINED, code="too_large")

    @rule(job_id=jobs)
    def leave_unconfirmed(self, job_id: int) -> None:
        """No answer: it stays booked, because it may have been charged."""
        known = self.known[job_id]
        if known.job.state is JobState.SUBMITTING:
            self.move(known, JobState.QUARANTINED, code="submission_unconfirmed")

    @rule(job_id=jobs)
    def retry(self, job_id: int) -> None:
        known = self.known[job_id]
        if known.job.state is JobState.QUARANTINED:
            self.move(known, resume_state(known.job))

    @rule(job_id=jobs, attempts=st.integers(0, 9))
    def amend(self, job_id: int, attempts: int) -> None:
        known = self.known[job_id]
        known.job = self.run(self.journal.amend(known.job, attempts=attempts))

    @rule(job_id=jobs)
    def move_a_stale_job(self, job_id: int) -> None:
        """Whoever holds an older look at a job can't change it."""
        known = self.known[job_id]
        for state in set(known.states) - {known.job.state}:
            for to in TRANSITIONS[state] - {JobState.SUBMITTING}:
                with pytest.raises(StaleJob):
                    self.run(self.journal.advance(known.job.evolve(state=state), to))

    @rule(job_id=jobs)
    def move_somebody_elses_job(self, job_id: int) -> None:
        known = self.known[job_id]
        with pytest.raises(StaleJob):
            self.run(self.journal.amend(known.job.evolve(owner="another"), attempts=99))

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.journal = self.open()

    # -- what must hold --------------------------------------------------------------------

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        stored = self.run(self.journal.in_states(tuple(JobState)))
        assert {job.id: job for job in stored} == {i: k.job for i, k in self.known.items()}

    @invariant()
    def no_content_is_under_way_twice(self) -> None:
        contents = [k.job.content_key for k in self.known.values() if k.job.state in UNDER_WAY]
        assert len(contents) == len(set(contents))

    @invariant()
    def what_was_spent_is_what_may_have_been_charged(self) -> None:
        minutes, price = self.run(self.journal.spent(0.0))
        assert minutes == pytest.approx(self.spent)
        assert price == pytest.approx(0.1 * minutes)

    @invariant()
    def history_tells_every_state(self) -> None:
        for job_id, known in self.known.items():
            sql = "SELECT state FROM history WHERE job_id = ? ORDER BY rowid"
            history = self.run(self.journal._all(sql, (job_id,)))
            assert [row["state"] for row in history] == [str(state) for state in known.states]

    @invariant()
    def nothing_is_claimed_that_would_pay_twice(self) -> None:
        claimed = self.run(self.journal.claim((JobState.QUEUED,), now=1e18, owner=None, limit=99))
        busy = {k.job.content_key for k in self.known.values() if k.job.state in UNDER_WAY}
        waiting = {i for i, k in self.known.items() if k.job.state is JobState.QUEUED}
        free = {i for i in waiting if self.known[i].job.content_key not in busy}
        assert {job.id for job in claimed} == free

    # -- the model -------------------------------------------------------------------------

    @property
    def spent(self) -> float:
        return self.unconfirmed + sum(self.booked.values())

    def ended(self, job: Job) -> list[Job]:
        """The others of its content that were delivered, or wait for a person."""
        ended = {JobState.DELIVERED, JobState.DONE, JobState.QUARANTINED}
        others = [k.job for k in self.known.values() if k.job.id != job.id]
        return [o for o in others if o.content_key == job.content_key and o.state in ended]

    def content_under_way(self, job: Job) -> bool:
        return any(
            k.job.state in UNDER_WAY and k.job.content_key == job.content_key and k.job.id != job.id
            for k in self.known.values()
        )

    def move(self, known: Known, to: JobState, **changes: Any) -> None:
        work = self.journal.advance(known.job, to, **changes)
        if to not in TRANSITIONS[known.job.state]:
            with pytest.raises(ForbiddenTransition):
                self.run(work)
        elif to in UNDER_WAY and self.content_under_way(known.job):
            with pytest.raises(AlreadyPaid):
                self.run(work)
        else:
            self.now(known, self.run(work))

    @staticmethod
    def now(known: Known, job: Job) -> None:
        known.job = job
        known.states.append(job.state)


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=15, stateful_step_count=25)
