"""What every step of a job works with: the rooms it calls, and what paces it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.disks.places import Place
from stemwatch.errors import PauseService, StemwatchError
from stemwatch.job import Job
from stemwatch.journal.journal import Journal
from stemwatch.log import log
from stemwatch.stemsplit.interface import RemoteJob, SeparationApi
from stemwatch.tasks import supervise
from stemwatch.workers.counters import Counters
from stemwatch.workers.pacing.budget import Budget
from stemwatch.workers.pacing.credit import Credit
from stemwatch.workers.pacing.gate import Gate
from stemwatch.workers.pacing.polls import Polls
from stemwatch.workers.pacing.rehearsal import Rehearsal
from stemwatch.workers.pacing.request_budget import RequestBudget
from stemwatch.workers.pacing.slots import Slots
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pacing.troubles import Troubles
from stemwatch.workers.pacing.unforeseen import Unforeseen
from stemwatch.workers.pacing.uploads_ahead import Ahead
from stemwatch.workers.progress import Progress

T = TypeVar("T")


class Reserved(NamedTuple):
    """Bytes of the disk that `outbox` is on."""

    outbox: str
    size: int


@dataclass(slots=True)
class Context:
    """One service's (or one `split`'s) working set. Everything here lives on one event loop."""

    journal: Journal
    api: SeparationApi
    audio: AudioHelper
    places: Mapping[str | None, Place]  # by inbox; the only one's name is None
    budget: Budget
    gate: Gate
    slots: Slots
    polls: Polls
    ahead: Ahead
    requests: RequestBudget
    progress: Progress
    timing: Timing
    local: bool  # separates on this machine: nothing is paid
    owner: str | None = None  # whose jobs these are: None for the service, a token for `split`
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.Random)
    counters: Counters = field(default_factory=Counters)
    credit: Credit = field(default_factory=Credit)
    # Fresh stem URLs of jobs that were just seen completed: they expire, so never on disk.
    fresh: dict[int, RemoteJob] = field(default_factory=dict)
    # What jobs at work are going to need, by job.
    reserved: dict[int, Reserved] = field(default_factory=dict)
    # Jobs past the point of no return of their submission: a drain waits for their answers.
    committed: set[int] = field(default_factory=set)
    critical: set[asyncio.Task[Any]] = field(default_factory=set)
    trial: int | None = None  # the one job that may be submitted to see whether a pause is over
    # Bytes that the song needs which found too little room, by inbox.
    room_wanted: dict[str | None, int] = field(default_factory=dict)
    troubles: Troubles = field(default_factory=Troubles)
    unforeseen: Unforeseen = field(default_factory=Unforeseen)
    rehearsals: dict[str, Rehearsal] = field(default_factory=dict)  # by outbox
    untagged: set[int] = field(default_factory=set)  # jobs whose tags ended the audio helper
    job_deadline: float = 300.0  # seconds until a job is reported as late
    wake: Callable[[], None] = lambda: None  # there may be something new to claim
    added: Callable[[Job], None] = lambda job: None  # ... this one
    hurry: Callable[[], None] = lambda: None  # ... and a seat, a slot or the line stands idle
    # Told of every job that came to its end, or whose original can't be moved; of each once.
    ended: Callable[[Job], None] = lambda job: None
    reported_late: set[int] = field(default_factory=set)

    def place_of(self, job: Job) -> Place:
        """Where this job's files are.

        Of an inbox that is configured no more what is paid for is delivered, and nothing is moved.
        """
        return self.places.get(job.inbox) or Place(outbox=job.outbox)

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end even if the caller is cancelled; a drain waits for it."""
        task = asyncio.create_task(work)
        self.critical.add(task)
        task.add_done_callback(self.critical.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            supervise(task, _unawaited)  # its caller is gone: nobody else would ask how it ended
            raise

    async def insist(self, commit: Callable[[], Awaitable[T]]) -> T:
        """Commit what must not be forgotten, again and again while the journal's disk is full."""

        async def again() -> T:
            while True:
                try:
                    return await commit()
                except PauseService as fault:
                    if self.gate.pause(fault):
                        log.warning(
                            "service.paused",
                            reason=fault.code,
                            message=fault.message,
                            hint=fault.hint,
                        )
                    await asyncio.sleep(self.timing.retry_first)

        return await self.unbroken(again())


def _unawaited(fault: BaseException) -> None:
    if isinstance(fault, StemwatchError):  # the next start takes it up where it is
        log.warning("step.unfinished", message=fault.message, hint=fault.hint)
    else:
        log.error("step.failed", exc_info=fault)
