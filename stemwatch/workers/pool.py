"""The bounded pool: a lane for each kind of step, a seat before a claim, one step at a time.

What waits is in the journal, never in a task: 20,000 files waiting cost what three cost.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from stemwatch.errors import PauseService, Unconfirmed
from stemwatch.job import Job, JobState
from stemwatch.log import log
from stemwatch.outbox.space import needed_bytes
from stemwatch.workers.confirm import reconcile
from stemwatch.workers.context import Context
from stemwatch.workers.fetch import fetch
from stemwatch.workers.filing import file
from stemwatch.workers.follow import follow
from stemwatch.workers.gate import BY_TRIAL, CONFIRM, FETCH, FILE, POLL, SUBMIT
from stemwatch.workers.lanes import Lane, Lanes, Step
from stemwatch.workers.outcome import pause, reject
from stemwatch.workers.probes import probe
from stemwatch.workers.reuse import reuse
from stemwatch.workers.submit import submit

_CLAIMS = {
    FILE: (JobState.DELIVERED, JobState.QUARANTINED),
    FETCH: (JobState.SEPARATED,),
    CONFIRM: (JobState.SUBMITTING,),
    SUBMIT: (JobState.QUEUED,),
}
_CLAIMED = tuple(state for states in _CLAIMS.values() for state in states)
_SHORTEST_TURN = 0.02  # seconds; the first one after a rest is at once
_OUTAGE_TRIES = 3  # probes of a server that is down before `--once` gives up


async def _submit_or_reuse(ctx: Context, job: Job) -> Job:
    delivered = await reuse(ctx, job)
    if delivered is not None:
        return delivered
    separating = await submit(ctx, job)
    for code in ctx.gate.accepted():
        log.info("service.resumed", reason=code)
    return separating


def _placed(step: Step) -> Step:
    """`step`, begun only while its results have somewhere to go."""

    async def begin(ctx: Context, job: Job) -> Job:
        await asyncio.to_thread(ctx.place.require_results)
        return await step(ctx, job)

    return begin


class Pool:
    """Moves jobs until it is told to stop. `fetches`: how many songs are downloaded at once."""

    def __init__(self, ctx: Context, *, fetches: int = 3) -> None:
        self.ctx = ctx
        seats = {
            FILE: Lane(_placed(file), 2),
            FETCH: Lane(_placed(fetch), fetches),
            POLL: Lane(follow, 4),
            CONFIRM: Lane(reconcile, 1),
            SUBMIT: Lane(_placed(_submit_or_reuse), ctx.slots.most),
        }
        self._lanes = Lanes(ctx, seats)
        self._probe: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._stopping = False
        self._turned: float | None = None  # when the turn under way began
        ctx.wake = self._wake.set

    async def recover(self) -> None:
        """After a start: an intent without an answer may have been charged.

        Where the API can tell, it is asked (the lane CONFIRM); elsewhere a person decides.
        """
        asked = self.ctx.api.lists_jobs
        for job in [] if asked else await self._mine(JobState.SUBMITTING):
            fault = Unconfirmed(
                "stemwatch was stopped between sending the last bytes and reading the answer."
            )
            await reject(self.ctx, job, fault)
        await self._keep_waiting()

    async def _keep_waiting(self) -> None:
        """A restart is no way round a Retry-After: what a 429 held back stays held."""
        ctx, longest = self.ctx, self.ctx.timing.retry_after_max
        asked = await ctx.journal.held_until("rate_limited", ctx.owner)
        # Bounded: a clock that was wrong at the start must not hold what is paid for.
        waits = {state: min(until - ctx.now(), longest) for state, until in asked.items()}
        if (wait := max(waits.values(), default=0.0)) > 0:
            message = "the server asked for time (429) before stemwatch was started again."
            pause(ctx, PauseService(message, code="rate_limited", after=wait))
        ctx.polls.hold(ctx.clock() + waits.get(JobState.SEPARATING, 0.0))

    async def run(self) -> None:
        """Work until `stop`. Raises JournalFault when nothing can be remembered any more."""
        while not self._stopping:
            self._wake.clear()
            turned = self._turned = self.ctx.clock()
            timeout = await self._turn()
            self._turned = None
            took = self.ctx.clock() - turned
            if self._lanes.fatal is not None:
                raise self._lanes.fatal
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            # Thousands of files that are taken in at once must not be a turn each: in a storm,
            # turns get a fifth of the time.
            await asyncio.sleep(turned + max(_SHORTEST_TURN, 5 * took) - self.ctx.clock())

    def standstill(self) -> float:
        """Seconds that the turn under way has taken; 0 between turns."""
        return 0.0 if self._turned is None else self.ctx.clock() - self._turned

    async def idle(self) -> bool:
        """Whether nothing is left to do, now or later."""
        if len(self.ctx.polls) or self._lanes.busy:
            return False
        return not await self._any_left(_CLAIMED)

    async def stuck(self) -> bool:
        """Whether what is left waits for a person (a key, credit, room) or for another day."""
        ctx = self.ctx
        if self._lanes.busy:
            return False
        if len(ctx.polls) and not ctx.gate.closed(POLL):
            return False  # what is paid for goes on, whatever holds back the rest
        for name in (CONFIRM, FETCH, FILE):  # also between its last poll and its download
            if not ctx.gate.closed(name) and await self._any_left(_CLAIMS[name]):
                return False
        held = [p for p in ctx.gate.pauses if p.code != "rate_limited"]
        if held:
            return all(p.code != "server" or p.attempts > _OUTAGE_TRIES for p in held)
        if len(ctx.polls) or ctx.local:
            return False
        left = (await ctx.budget.left(ctx.journal, ctx.now())).minutes
        if left is None:
            return False
        return not await ctx.journal.claim(
            _CLAIMED, now=float("inf"), owner=ctx.owner, limit=1, longest=left * 60.0
        )

    @property
    def busy(self) -> bool:
        """Whether a step of any job is under way."""
        return self._lanes.busy

    @property
    def moves(self) -> int:
        """A number that grows while work goes on: steps that ended, bytes that went through."""
        return self._lanes.ended + self.ctx.progress.changes

    async def stop(self, patience: float, costly: float = 0.0) -> None:
        """Drain: what can't cost stops at once, a submission that may is waited for.

        In seconds: all of it `patience`, an answer that may have been paid for also `costly`."""
        self._stopping = True
        self._wake.set()
        if self._probe is not None:
            self._probe.cancel()
        await self._lanes.drain(patience, costly)

    def abort(self) -> None:
        """A second signal: stop now; the next start sorts out what that leaves."""
        self._lanes.abort()

    # -- one turn --------------------------------------------------------------------------

    async def _turn(self) -> float | None:
        """Fill the free seats; returns the seconds until there may be more to do."""
        ctx = self.ctx
        try:
            # Also when only the inbox's rounds or a probe met it: nothing is remembered any more.
            ctx.journal.require_sound()
            self._probe_pauses()
            await self._adopt()
            self._poll()
            await self._fill(FILE, self._lanes[FILE].free)
            await self._fill_fetch()
            await self._fill(CONFIRM, self._lanes[CONFIRM].free)
            await self._fill_submit()
            return await self._until_due()
        except PauseService as fault:
            pause(ctx, fault)
            return ctx.timing.retry_first

    def _probe_pauses(self) -> None:
        if self._probe is not None and not self._probe.done():
            return
        for due in self.ctx.gate.due():
            if due.code not in BY_TRIAL:
                self._probe = asyncio.create_task(probe(self.ctx, due))
                return

    async def _adopt(self) -> None:
        """Remote jobs that nobody watches: found at the start, or brought back by `retry`."""
        for job in await self._mine(JobState.SEPARATING):
            if job.id not in self.ctx.polls and job.id not in self._lanes[POLL].tasks:
                self.ctx.slots.hold(job.id)
                wait = max(0.0, job.not_before - self.ctx.now())
                wait = min(wait, self.ctx.timing.retry_after_max)
                self.ctx.polls.resumed(job.id, self.ctx.clock(), wait, job.remote_id or "")
                self.ctx.reserved[job.id] = needed_bytes(job.duration or 0.0, job.options)

    def _poll(self) -> None:
        ctx, lane = self.ctx, self._lanes[POLL]
        while lane.free and not ctx.gate.closed(POLL):
            job_id = ctx.polls.take_due(ctx.clock())
            if job_id is None:
                return
            self._lanes.start(POLL, job_id, None)

    async def _fill(self, name: str, seats: int, longest: float | None = None) -> None:
        lane, ctx = self._lanes[name], self.ctx
        if seats <= 0 or (ctx.gate.closed(name) and not ctx.gate.trial(name)):
            return
        jobs = await ctx.journal.claim(
            _CLAIMS[name],
            now=ctx.now(),
            owner=ctx.owner,
            limit=seats,
            # what is being submitted is `submitting` too: only the rest has to be asked about
            busy=[*lane.tasks, *(self._lanes[SUBMIT].tasks if name == CONFIRM else ())],
            busy_content=[job.content_key for job in lane.jobs.values()],
            longest=longest,
        )
        contents: set[str] = set()
        for job in jobs:
            # Twice the same content in one claim: the second waits for the first one's stems.
            if name == SUBMIT and job.content_key in contents:
                continue
            contents.add(job.content_key)
            self._lanes.start(name, job.id, job)

    async def _fill_fetch(self) -> None:
        """Downloads; a single one where only that can tell whether the storage is back."""
        ctx, lane = self.ctx, self._lanes[FETCH]
        trial = ctx.gate.trial(FETCH)
        if not trial:
            await self._fill(FETCH, lane.free)
        elif not lane.tasks:
            await self._fill(FETCH, 1)
            for held in trial if lane.tasks else ():
                ctx.gate.tried(held)
            if not lane.tasks and not await self._mine(JobState.SEPARATED):
                ctx.gate.storage_answered()  # nothing is left to try it with

    async def _fill_submit(self) -> None:
        """Uploads for the free slots, and one ahead for the slot that is about to be free."""
        ctx, lane = self.ctx, self._lanes[SUBMIT]
        lane.seats = ctx.slots.most  # a reload may have changed it
        uploading = [job for job_id, job in lane.jobs.items() if job_id not in ctx.committed]
        room = ctx.slots.free - len(uploading)
        soon = ctx.polls.expected_end(ctx.clock())
        if room <= 0 and not uploading and soon is not None and soon <= ctx.timing.lookahead:
            room = 1
        left = (await ctx.budget.left(ctx.journal, ctx.now())).minutes
        longest = None
        if left is not None and not ctx.local:
            longest = max(0.0, left * 60.0 - sum(job.duration or 0.0 for job in uploading))
        if trial := ctx.gate.trial():
            if lane.tasks:
                return
            await self._fill(SUBMIT, 1, longest)
            ctx.trial = next(iter(lane.tasks), None)
            for held in trial if lane.tasks else ():
                ctx.gate.tried(held)
        else:
            await self._fill(SUBMIT, min(room, lane.free), longest)

    async def _until_due(self) -> float | None:
        """Seconds until something happens by itself; None: only an event can change anything."""
        ctx, now = self.ctx, self.ctx.clock()
        times = [ctx.gate.next_due(), ctx.slots.next_rise()]
        if self._lanes[POLL].free and not ctx.gate.closed(POLL):
            times.append(ctx.polls.next_due())
        waits = [time - now for time in times if time is not None]
        later = await ctx.journal.next_due(_CLAIMED, ctx.owner, ctx.now())
        if later is not None:
            waits.append(later - ctx.now())
        soon = ctx.polls.expected_end(now)
        if soon is not None and soon > ctx.timing.lookahead:
            waits.append(soon - ctx.timing.lookahead)
        return max(0.001, min(waits)) if waits else None

    async def _any_left(self, states: tuple[JobState, ...]) -> bool:
        """Whether a job in one of `states` is to be worked on, now or later."""
        owner = self.ctx.owner
        return bool(await self.ctx.journal.claim(states, now=float("inf"), owner=owner, limit=1))

    async def _mine(self, state: JobState) -> list[Job]:
        jobs = await self.ctx.journal.in_states((state,))
        return [job for job in jobs if job.owner == self.ctx.owner]
