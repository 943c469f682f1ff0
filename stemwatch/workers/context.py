"""`Context`, which every `Step` of a job is given: journal, API, folders, pacing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.disks.hanging import Reach
from stemwatch.disks.places import Anchor, Place
from stemwatch.disks.reservations import Reservations
from stemwatch.errors import PauseService, StemwatchError
from stemwatch.job import TO_BE_FILED, Job
from stemwatch.journal.journal import Journal
from stemwatch.log import log
from stemwatch.patterns import ResultNames
from stemwatch.stemsplit.interface import SeparationApi
from stemwatch.tasks import supervise
from stemwatch.workers.bell import Bell
from stemwatch.workers.counters import Counters
from stemwatch.workers.memory import Memory
from stemwatch.workers.one_ahead import Preparing
from stemwatch.workers.pacing.budget import Budget
from stemwatch.workers.pacing.credit import Credit
from stemwatch.workers.pacing.gate import Gate
from stemwatch.workers.pacing.hours import Hours
from stemwatch.workers.pacing.pause import Pause
from stemwatch.workers.pacing.polls import Polls
from stemwatch.workers.pacing.request_budget import RequestBudget
from stemwatch.workers.pacing.slots import Slots
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pacing.troubles import Troubles
from stemwatch.workers.pacing.uploads_ahead import Ahead
from stemwatch.workers.progress import Progress

T = TypeVar("T")


@dataclass(slots=True)
class Context:
    """The working set of one service or one `split`. All of it is used on one event loop only."""

    journal: Journal
    api: SeparationApi
    audio: AudioHelper
    places: Mapping[str | None, Place]  # by the inbox's name, which is None where there is one only
    budget: Budget
    gate: Gate
    slots: Slots
    polls: Polls
    ahead: Ahead
    requests: RequestBudget
    progress: Progress
    timing: Timing
    local: bool  # separates on this machine: nothing is paid
    whole_tempo: bool = False  # in the stems' tags
    serato: bool = False  # its cue points in the stems' tags
    keep_waveforms: bool = False  # beside the stems: somebody may look at them on the page
    names: Mapping[str | None, ResultNames] = field(default_factory=dict)  # by inbox
    hours: Mapping[str | None, Hours] = field(default_factory=dict)  # by inbox; none: any hour
    owner: str | None = None  # whose jobs these are: None for the service, a token for `split`
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.Random)
    counters: Counters = field(default_factory=Counters)
    credit: Credit = field(default_factory=Credit)
    space: Reservations = field(default_factory=Reservations)
    memory: Memory = field(default_factory=Memory)
    troubles: Troubles = field(default_factory=Troubles)
    bell: Bell = field(default_factory=Bell)
    preparing: Preparing = field(default_factory=Preparing)
    # Jobs whose submission can't be taken back any more: a drain waits for their answers.
    committed: set[int] = field(default_factory=set)
    # By inbox and outbox: of songs whose outbox is not configured any more.
    elsewhere: dict[tuple[str | None, str], Place] = field(default_factory=dict)
    critical: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.gate.on_change.append(self.tell)

    def tell(self, pause: Pause, begins: bool) -> None:
        """Log that a pause begins or ends. The one place for both: each passes the gate."""
        whose = {} if pause.inbox is None else {"inbox": pause.inbox}
        if begins:
            write = log.info if pause.rule.ordered else log.warning
            told = {"message": pause.message, "hint": pause.hint, **whose}
            write("service.paused", reason=pause.code, **told)
        else:
            log.info("service.resumed", reason=pause.code, **whose)
        self.progress.changed.set()  # while idle, status.json is written only now and then

    @property
    def largest(self) -> int:
        """Bytes of the largest file that may be taken in: a lossless one is sent smaller."""
        limits = self.api.limits
        return limits.largest if self.preparing.upload == "original" else limits.largest_read

    def place_of(self, job: Job) -> Place:
        """The folders that this job's next step works with.

        Its inbox may not be configured any more. Then the place has an outbox only: stems that are
        paid for are delivered, and originals are not moved.
        """
        if job.state in TO_BE_FILED:  # its original alone is left, and its outbox may be gone
            return self.places.get(job.inbox) or Place(outbox=job.outbox)
        return self.place_at(job.inbox, job.outbox)

    def place_at(self, inbox: str | None, outbox: str) -> Place:
        """The folders of this inbox, with this outbox: an earlier configuration may have had it."""
        place = self.places.get(inbox)
        if place is not None and (place.outbox == outbox or self.owner is not None):
            return place
        if (inbox, outbox) not in self.elsewhere:
            anchor = {outbox: Anchor(outbox)}
            self.elsewhere[inbox, outbox] = (
                Place(outbox=outbox, anchors=anchor, reach=Reach(self.timing.disk_answer))
                if place is None
                else replace(place, outbox=outbox, anchors=place.anchors | anchor)
            )
        return self.elsewhere[inbox, outbox]

    def serves(self, job: Job) -> bool:
        """Whether the job's inbox is configured; a song of `split` needs none."""
        return job.inbox in self.places or job.origin == "split"

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` to its end even if the caller is cancelled, and return its result.

        A drain waits for it.
        """
        task = asyncio.create_task(work)
        self.critical.add(task)
        task.add_done_callback(self.critical.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            supervise(task, _unawaited)  # its caller is gone: a fault would stay unseen
            raise

    async def insist(self, commit: Callable[[], Awaitable[T]]) -> T:
        """Repeat `commit` until it succeeds, while the journal's disk is full or refuses writes.

        For what must not be forgotten, such as a paid job's remote id. Returns `commit`'s result.
        """

        async def again() -> T:
            while True:
                try:
                    return await commit()
                except PauseService as fault:
                    self.gate.pause(fault)
                    await asyncio.sleep(self.timing.retry_first)

        return await self.unbroken(again())


Step = Callable[[Context, Job], Awaitable[Job]]  # of one job; see `steps/table.py`


def _unawaited(fault: BaseException) -> None:
    if isinstance(fault, StemwatchError):  # the next start goes on from the job's last state
        log.warning("step.unfinished", message=fault.message, hint=fault.hint)
    else:
        log.error("step.failed", exc_info=fault)
