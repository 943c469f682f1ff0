"""`Pool`: each of its turns fills the free seats of the lanes with songs from the journal.

A seat is taken before a song is claimed for it. Waiting songs are in the journal, never in tasks:
20,000 of them cost no more than three.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection
from contextlib import suppress

from stemwatch.codes import CONFIRM, FETCH, FILE, POLL, SUBMIT, UNPACK
from stemwatch.errors import PauseService
from stemwatch.job import Job
from stemwatch.tasks import supervised
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import pause
from stemwatch.workers.pool.adopting import adopt
from stemwatch.workers.pool.choosing import claims
from stemwatch.workers.pool.choosing.claims import Claims
from stemwatch.workers.pool.choosing.lanes_to_ask import LanesToAsk
from stemwatch.workers.pool.choosing.preparing_ahead import PreparingAhead
from stemwatch.workers.pool.ended_songs import Forgetting
from stemwatch.workers.pool.hung import Hung
from stemwatch.workers.pool.lanes import Lane, Lanes
from stemwatch.workers.pool.pause_probes import probe
from stemwatch.workers.pool.polling import Polling
from stemwatch.workers.pool.recovery import recover
from stemwatch.workers.pool.remaining import Remaining
from stemwatch.workers.steps.own_trouble import look
from stemwatch.workers.steps.table import STEPS

_SHORTEST_TURN = 0.02  # seconds between two turns; the first one after a rest begins at once
_POLLS = 8  # polls at once: as many as the API's client has connections
_FETCHES = 3  # songs that are downloaded at once beside uploads; without uploads, twice as many


async def _together(*looks: Awaitable[None]) -> None:
    """Await all `looks`, even where one fails, and raise the first fault.

    Together, their queries are one trip to the journal's thread. All must have ended: a lane that
    is still being filled when the next turn begins would start a job twice.
    """
    for fault in await asyncio.gather(*looks, return_exceptions=True):
        if fault is not None:
            raise fault


class Pool:
    """Moves jobs until it is told to stop."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        most = {FILE: 2, FETCH: _FETCHES, POLL: _POLLS, CONFIRM: 1, SUBMIT: 2 * ctx.slots.most}
        most[UNPACK] = 1  # the other helper stays free for songs that arrive, and for stems
        self._unseen = LanesToAsk(ctx.clock)
        self._lanes = Lanes(
            ctx, {name: Lane(STEPS[name], most[name]) for name in most}, self._unseen
        )
        self._asking = Polling(ctx, self._lanes)
        self._claims = Claims(ctx)
        self._next_song = PreparingAhead(ctx, self._lanes, self._claims)
        self._left = Remaining(ctx, self._lanes, self._claims)
        self._forgetting = Forgetting(ctx)
        self._probes: dict[str | None, asyncio.Task[None]] = {}  # one at a time for each inbox
        self._looks: dict[str, asyncio.Task[None]] = {}  # by folder that refuses files
        self._wake, self._hurry = asyncio.Event(), asyncio.Event()
        self._news = True  # something other than our own steps woke the pool, or a timeout did
        self._held = False  # there was a pause at the last turn
        self._stopping = False
        self._turned: float | None = None  # when the turn under way began
        ctx.bell.answered_by(self)

    async def recover(self) -> None:
        """Take over what an earlier run left undecided or waiting; call it once, before `run`."""
        await self._claims.recall()
        await recover(self.ctx)

    async def run(self) -> None:
        """Work until `stop`. Raises JournalFault when the journal can't be written any more."""
        # A fault that ends the polling ends the pool: else paid jobs would never be asked for.
        asking = supervised(self._asking.run(), self._lanes.fail, name="polls")
        looking = supervised(Hung(self.ctx, self._lanes).run(), self._lanes.fail, name="hung")
        try:
            await self._turns()
        finally:
            asking.cancel()
            looking.cancel()

    async def _turns(self) -> None:
        while not self._stopping:
            if self._lanes.fatal is not None:
                raise self._lanes.fatal
            self._wake.clear()
            self._hurry.clear()
            turned = self._turned = self.ctx.clock()
            timeout = await self._turn()
            self._asking.wake()
            self._turned = None
            took = self.ctx.clock() - turned
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                self._news = True
            await asyncio.sleep(turned + max(_SHORTEST_TURN, took) - self.ctx.clock())
            # Thousands of files that arrive at once must not cost a turn each: turns then take at
            # most a fifth of the time. A free slot or seat, or an idle line, ends the wait.
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, turned + 5 * took - self.ctx.clock())):
                    await self._hurry.wait()

    def wake(self) -> None:
        """See `bell.Listener`, also for `added` and `hurry`."""
        self._news = True
        self._wake.set()

    def added(self, job: Job) -> None:
        self._unseen.left(job, watched=False)
        self._wake.set()

    def hurry(self) -> None:
        self._hurry.set()
        self._wake.set()

    def standstill(self) -> float:
        """Seconds since the turn under way began; 0 between turns."""
        return 0.0 if self._turned is None else self.ctx.clock() - self._turned

    async def idle(self) -> bool:
        """Whether nothing is left to do, now or later."""
        return await self._left.nothing()

    async def stuck(self) -> bool:
        """Whether all remaining work waits for a person (key, credit, space) or for another day."""
        return await self._left.only_what_waits()

    @property
    def busy(self) -> bool:
        """Whether a step of any job is under way that its disk does not hold up."""
        return self._lanes.busy

    @property
    def moves(self) -> int:
        """A number that grows while work makes progress: steps that ended, bytes transferred."""
        return self._lanes.ended + self.ctx.progress.changes

    async def stop(self, patience: float, costly: float = 0.0) -> None:
        """Drain the lanes: polls and downloads stop, a submission that may cost is waited for.

        It takes `patience` seconds at most; `costly` seconds for an answer that may be charged.
        """
        self._stopping = True
        self._wake.set()
        for task in (*self._probes.values(), *self._looks.values()):
            task.cancel()
        await self.ctx.preparing.close()
        await self._lanes.drain(patience, costly)

    def abort(self) -> None:
        """Cancel all steps now (a second signal). The next start recovers what that leaves."""
        self._lanes.abort()

    # -- one turn --------------------------------------------------------------------------

    async def _turn(self) -> float | None:
        """Fill the free seats. Returns the seconds until there may be more to do, or None."""
        ctx = self.ctx
        try:
            # A broken journal ends the pool, also when only the inbox's rounds or a probe met it.
            ctx.journal.require_sound()
            self._probe_pauses()
            held = bool(ctx.gate.pauses)
            # One time for the whole turn: a job that is not due for the claims is due later.
            now = ctx.now()
            self._unseen.turn(now, everything=self._news or held or self._held)
            self._news = False
            await _together(
                adopt(ctx, self._lanes, self._unseen),
                self._fill(FILE, self._lanes[FILE].free),
                self._fill_fetch(),
                self._fill(CONFIRM, self._lanes[CONFIRM].free),
                self._fill(UNPACK, self._lanes[UNPACK].free),
                self._fill_submit(),
                self._look_ahead(now),
            )
            self._held = held or bool(ctx.gate.pauses)
            return self._until_due()
        except PauseService as fault:
            pause(ctx, fault)
            return ctx.timing.retry_first

    def _probe_pauses(self) -> None:
        for due in self.ctx.gate.due():
            under_way = self._probes.get(due.inbox)
            if under_way is None or under_way.done():
                self._probes[due.inbox] = supervised(probe(self.ctx, due), self._lanes.fail)
        self._looks = {folder: one for folder, one in self._looks.items() if not one.done()}
        for folder in self.ctx.troubles.due(self.ctx.clock()):
            if folder not in self._looks:
                self._looks[folder] = supervised(look(self.ctx, folder), self._lanes.fail)

    async def _fill(
        self, name: str, seats: int, last: Collection[int] = (), but: Collection[int] = ()
    ) -> None:
        """Start the next songs of the lane: those in `last` after all others, none in `but`."""
        if seats <= 0 or not self._unseen.take(name):
            return
        lane = self._lanes[name]
        # A song in the lane SUBMIT may be `submitting` as well, and is not one to be confirmed.
        # `uploads` is read before and after: uploads begin while the journal answers.
        uploads = self._lanes[SUBMIT].tasks if name == CONFIRM else {}
        busy, working = [*lane.tasks, *uploads, *but], list(lane.jobs.values())
        found = await self._claims.next(name, seats, busy=[*busy, *last], working=working)
        if last and not found:
            found = await self._claims.next(name, seats, busy=busy, working=working)
        for job in found:
            if job.id not in uploads:
                self._lanes.start(name, job.id, job)
        if len(found) >= seats:
            self._unseen.more(name)

    async def _fill_fetch(self) -> None:
        """Start downloads; a single one as the trial of a pause for the storage."""
        ctx, lane = self.ctx, self._lanes[FETCH]
        # Downloads slow the uploads down, and so the next jobs. Without uploads they may be more.
        lane.seats = _FETCHES if self._lanes[SUBMIT].taken else 2 * _FETCHES
        trial = ctx.gate.trial(FETCH)
        if not trial:
            await self._fill(FETCH, lane.free)
        elif lane.taken == 0:
            # Were it the oldest each time, one song's dead stem would hold the pause for ever.
            # Dead songs end no pause, so one that only they are left to try is over.
            last, dead = ctx.gate.downloads.last, ctx.gate.downloads.dead
            await self._fill(FETCH, 1, last=last, but=dead)
            if lane.taken > 0:
                for held in trial:
                    ctx.gate.tried(held)
            left = lane.taken > 0 or await self._claims.left(FETCH, but=dead)
            if not left and ctx.gate.storage_answered(ctx.clock()):  # no download could try
                self.wake()  # the lane SUBMIT was looked at before

    async def _fill_submit(self) -> None:
        """Start uploads for free slots, and ahead of slots that will be free; or a single trial."""
        ctx, lane = self.ctx, self._lanes[SUBMIT]
        lane.seats = 2 * ctx.slots.most  # a reload may have changed it
        if trial := ctx.gate.trial():
            if lane.taken:
                return
            ctx.gate.on_trial = await self._start_upload()
            if ctx.gate.on_trial is not None:
                for held in trial:
                    ctx.gate.tried(held)
            return
        for _ in range(lane.free):  # one by one: a large song, once it is known, fills the line
            if not ctx.ahead.room() or await self._start_upload() is None:
                break
        await self._next_song.look(everything=self._unseen.all)

    async def _start_upload(self) -> int | None:
        """Start the upload of the next song that the budget allows; its id, or None: no song."""
        lane = self._lanes[SUBMIT]
        before = set(lane.tasks)
        await self._fill(SUBMIT, 1)
        begun = lane.tasks.keys() - before
        for job_id in begun:
            self.ctx.ahead.began(job_id, lane.jobs[job_id].identity.size)
        return next(iter(begun), None)

    async def _look_ahead(self, now: float) -> None:
        if self._unseen.all:
            self._unseen.due = await self.ctx.journal.next_due(claims.ALL, self.ctx.owner, now)
            await self._forgetting.now_and_then()

    def _until_due(self) -> float | None:
        """Seconds until time alone gives the pool something to do; None: only an event can."""
        ctx, now = self.ctx, self.ctx.clock()
        times = [ctx.gate.next_due(), ctx.troubles.next_due(), ctx.slots.next_rise()]
        if self._lanes[SUBMIT].free:
            times.append(ctx.ahead.next_room())
        waits = [time - now for time in times if time is not None]
        if self._unseen.due is not None:
            waits.append(self._unseen.due - ctx.now())
        return max(0.001, min(waits)) if waits else None
