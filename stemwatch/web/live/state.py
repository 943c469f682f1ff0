"""The queue as state, of which whoever watches gets what changed since the version they have.

Each job has the version of its last change. The queue is looked at while somebody watches, four
times a second, and never otherwise. What changed meanwhile is found by comparing, so that a browser
that comes back gets the difference.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from stemwatch.job import ACTIVE, Job, JobState
from stemwatch.journal.every import every
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.tasks import supervised
from stemwatch.web.backing import Backing, Broken, Document
from stemwatch.web.live.documents import HAS_STEMS, job_document, moving, service_document

TICK = 0.25  # seconds between two looks at what is under way
_OTHERS = 1.0  # ... at the journal, to which other commands write as well
_SLOW = 5.0  # ... at why songs wait, and at the money
MOST = 1000  # songs that a page is told of at once; the counts are of all
_ENDED = 30  # songs with stems among them
_GONE = 2000  # removals that are remembered


class Live:
    """`boot` and `version` say which state a browser has seen."""

    def __init__(self, backing: Backing, journal: ReadOnlyJournal, broken: Broken) -> None:
        self.boot = secrets.token_hex(4)
        self.version = 0
        self.floor = 0  # below it, what is gone is not known any more
        self.service: Document = {}
        self.closing = False
        self._backing = backing
        self._context = backing.health.context
        self._journal = journal
        self._broken = broken
        self._jobs: dict[int, Job] = {}
        self._shown: dict[int, Document] = {}
        self._gone: dict[int, int] = {}  # id -> version
        self._service_version = 0
        self._reckoned: Document = {"money": None, "remaining": None}
        self._counts: dict[str, int] = {}
        self._read = 0  # the last row of the history that was looked at
        self._changes = -1  # of the progress, at the last look
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()

    # -- for those who watch ---------------------------------------------------------------

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Kept up to date meanwhile."""
        self._watchers += 1
        if self._task is None:
            self._task = supervised(self._follow(), self._ended, name="page")
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task = None
                self._ready.clear()

    async def ready(self) -> None:
        """Return once it has been looked at since somebody watches."""
        await self._ready.wait()

    async def changed(self) -> None:
        """Return at the next change, or when it closes."""
        await self._changed.wait()

    def close(self) -> None:
        """The service ends: everybody who waits is told."""
        self.closing = True
        self._wake()

    def snapshot(self) -> Document:
        """All of it."""
        return {"jobs": list(self._shown.values()), "service": self.service}

    def since(self, version: int) -> tuple[list[Document], list[int], Document | None]:
        """Jobs that changed, ids that are gone, and the service if it changed."""
        jobs = [one for one in self._shown.values() if one["v"] > version]
        gone = [job for job, at in self._gone.items() if at > version]
        return jobs, gone, self.service if self._service_version > version else None

    # -- keeping it true -------------------------------------------------------------------

    async def _follow(self) -> None:
        ticks = 0
        while not self.closing:
            before = self.version
            try:
                await self._look(ticks)
                self._ready.set()
            except Exception as fault:  # told once; what is shown stays until a look succeeds
                self._broken("/api/events", fault)
            if self.version != before:
                self._wake()
            ticks += 1
            await asyncio.sleep(TICK)

    async def _look(self, ticks: int) -> None:
        changes = self._context.progress.changes
        if not self._ready.is_set():
            await self._reload()
        elif changes != self._changes or ticks % round(_OTHERS / TICK) == 0:
            await self._catch_up()
        if ticks % round(_SLOW / TICK) == 0:
            await self._look_slowly()
        self._changes = changes
        # An upload may begin behind the first in line, and has no entry in the history.
        if unseen := self._context.progress.running.keys() - self._jobs.keys():
            self._take((await self._journal.by_ids(unseen)).values())
        self._take_running()
        self._take_service()

    async def _reload(self) -> None:
        """Everything anew; what is held and no longer there is gone."""
        journal = self._journal
        self._read = await journal.last_history()
        jobs = await self._first(ACTIVE)
        jobs += await self._last((JobState.QUARANTINED,))
        jobs += await journal.with_stems(limit=_ENDED)
        there = {job.id for job in jobs}
        for job_id in [one for one in self._shown if one not in there]:
            self._drop(job_id)
        self._take(jobs)
        self._counts = await journal.active()

    async def _first(self, states: Collection[JobState]) -> list[Job]:
        """The oldest `MOST` of the jobs in `states`."""
        found: list[Job] = []
        async for job in every(self._journal, states):
            found.append(job)
            if len(found) == MOST:
                break
        return found

    async def _last(self, states: Collection[JobState]) -> list[Job]:
        """The newest `MOST` of the jobs in `states`."""
        found: deque[Job] = deque(maxlen=MOST)
        async for job in every(self._journal, states):
            found.append(job)
        return list(found)

    async def _catch_up(self) -> None:
        """The jobs that came into another state since the last look."""
        before, journal = self._read, self._journal
        while rows := await journal.history_after(self._read, MOST):
            self._read = rows[-1][0]
            self._take((await journal.by_ids({row[1] for row in rows})).values())
            self._trim()
        if self._read != before:
            self._counts = await journal.active()
            await self._refill(ACTIVE, self._first)
            await self._refill((JobState.QUARANTINED,), self._last)

    async def _refill(
        self,
        states: Collection[JobState],
        read: Callable[[Collection[JobState]], Awaitable[list[Job]]],
    ) -> None:
        """Take those that were beyond `MOST` once half of the others have gone."""
        there = sum(self._counts.get(state, 0) for state in states)
        shown = sum(job.state in states for job in self._jobs.values())
        if shown < min(there, MOST) / 2:
            self._take(await read(states))
            self._trim()

    async def _look_slowly(self) -> None:
        """What changes without a new state: why songs wait, and what was spent."""
        journal = self._journal
        self._take(await journal.waiting(self._context.now(), 100))
        self._take(await journal.unfiled(100))
        self._trim()
        self._reckoned = await self._backing.reckon(journal)

    def _take(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            if job.state is JobState.GONE:
                self._drop(job.id)
                continue
            self._jobs[job.id] = job
            self._show(job)

    def _take_running(self) -> None:
        """Only what moves is made anew, four times a second; the rest changes with the job."""
        running, now = self._context.progress.running, self._context.now()
        for job_id, job in self._jobs.items():
            shown = self._shown[job_id]
            if job_id in running or shown["stage"] is not None:
                self._put(job_id, {**shown, **moving(job, running.get(job_id), now)})

    def _show(self, job: Job) -> None:
        running = self._context.progress.running.get(job.id)
        self._put(job.id, job_document(job, running, self._context.now()))

    def _put(self, job_id: int, document: Document) -> None:
        before = self._shown.get(job_id)
        if before is None or {**document, "v": before["v"]} != before:
            self.version += 1
            self._shown[job_id] = {**document, "v": self.version}
            self._gone.pop(job_id, None)

    def _take_service(self) -> None:
        now = self._context.now()
        document = service_document(self._backing, self._counts, self._reckoned, now)
        if document != self.service:
            self.version += 1
            self.service, self._service_version = document, self.version

    def _drop(self, job_id: int) -> None:
        self._jobs.pop(job_id, None)
        if self._shown.pop(job_id, None) is not None:
            self.version += 1
            self._gone[job_id] = self.version
        while len(self._gone) > _GONE:
            self.floor = self._gone.pop(next(iter(self._gone)))

    def _trim(self) -> None:
        """Let go of the songs beyond `MOST`: a page may stay open for months.

        Of those under way it is the last in line, of those in quarantine the oldest, which a page
        shows last. The oldest that are delivered are in the history.
        """
        jobs = self._jobs.values()
        ended = sorted(job.id for job in jobs if job.state in HAS_STEMS)
        lost = [one for one in ended[:-_ENDED] if self._jobs[one].state is JobState.DONE]
        way = [job for job in jobs if job.state in ACTIVE]
        if len(way) > MOST:
            lost += [job.id for job in sorted(way, key=self._rank)[MOST:]]
        bad = sorted(job.id for job in jobs if job.state is JobState.QUARANTINED)
        for job_id in lost + bad[:-MOST]:
            self._drop(job_id)

    def _rank(self, job: Job) -> tuple[bool, bool, int]:
        in_line = job.state is JobState.QUEUED and job.not_before == 0.0 and job.first_at is None
        return job.id not in self._context.progress.running, in_line, job.id

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _ended(self, fault: BaseException) -> None:
        if isinstance(fault, Exception):
            self._broken("/api/events", fault)
