"""Claims: chooses the next songs, inbox by inbox, within each one's pauses and budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence

from stemwatch.codes import CONFIRM, FETCH, FILE, SUBMIT, UNPACK
from stemwatch.job import Job, JobState
from stemwatch.workers.context import Context
from stemwatch.workers.pool.choosing.passing import fitting, passing

STATES: Mapping[str, tuple[JobState, ...]] = {
    FILE: (JobState.DELIVERED, JobState.QUARANTINED),
    FETCH: (JobState.SEPARATED,),
    CONFIRM: (JobState.SUBMITTING,),
    UNPACK: (JobState.QUEUED,),
    SUBMIT: (JobState.QUEUED,),
}
# Which of the queued songs: those that have their stems already are unpacked, not submitted.
_AT_HAND: Mapping[str, bool] = {UNPACK: True, SUBMIT: False}
# Times the longest wait there is. If the clock is put back by minutes, no Retry-After is cut short.
_PATIENCE = 2
ALL = tuple(dict.fromkeys(state for states in STATES.values() for state in states))


class Claims:
    """Hands out the jobs of all inboxes in turn: 200 songs in one don't keep another waiting."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        # For each lane, the inboxes, with the one first that was served longest ago.
        self._turns = {name: deque(ctx.places) for name in STATES}

    async def recall(self) -> None:
        """Add the inboxes that are no longer configured but still have songs under way."""
        for inbox, _ in await self._ctx.journal.inboxes():
            for turns in self._turns.values():
                if inbox not in turns:
                    turns.append(inbox)

    async def next(
        self, name: str, seats: int, *, busy: Collection[int], working: Sequence[Job]
    ) -> list[Job]:
        """Up to `seats` jobs for the lane `name`.

        `busy` are the ids of jobs that must not be claimed. `working` are the jobs in the lane now:
        a song with the content of one of them waits.
        """
        ctx, turns, now = self._ctx, self._turns[name], self._ctx.now()
        offers: dict[str | None, deque[Job]] = {}
        for inbox in [one for one in turns if seats > 0 and ctx.gate.lets(name, one)]:
            if (most := passing(ctx, name, inbox)) == 0:
                continue
            longest = await self._affordable(inbox, working) if name == SUBMIT else None
            jobs = await ctx.journal.claim(
                STATES[name],
                now=now,
                # A later `not_before` was written while the clock was ahead: it is ignored.
                latest=now + _PATIENCE * ctx.timing.retry_after_max,
                owner=ctx.owner,
                limit=seats,
                busy={*busy, *ctx.memory.too_dear(longest)},
                busy_content=[job.content_key for job in working],
                longest=longest,
                inboxes=self._only(inbox),
                at_hand=_AT_HAND.get(name),
                fits=fitting(most),
            )
            offers[inbox] = deque(jobs)
        picked: list[Job] = []
        contents: set[str] = set()
        while len(picked) < seats and any(offers.values()):
            waiting = [one for one in turns if offers.get(one)]
            # In turn, the first of equals; what a person put first is before everybody's.
            inbox = max(waiting, key=lambda one: offers[one][0].first_at or 0.0)
            job = offers[inbox].popleft()
            # A second song with the same content waits for the first one's stems.
            if name not in _AT_HAND or job.content_key not in contents:
                contents.add(job.content_key)
                picked.append(job)
                turns.remove(inbox)
                turns.append(inbox)
        return picked

    async def first(
        self, name: str, *, busy: Collection[int], working: Sequence[Job]
    ) -> Job | None:
        """The job that `next` would hand out, which stays to be handed out."""
        turns = self._turns[name].copy()
        found = await self.next(name, 1, busy=busy, working=working)
        self._turns[name] = turns
        return found[0] if found else None

    async def left(self, name: str, but: Collection[int] = ()) -> bool:
        """Whether jobs other than `but` are left for the lane, now or later, that nothing holds."""
        ctx, at_hand = self._ctx, _AT_HAND.get(name)
        but = {*but, *ctx.troubles.waiting()}
        rooms: dict[int | None, list[str | None]] = {}
        for inbox in self._turns[name]:
            if ctx.gate.lets(name, inbox):
                rooms.setdefault(passing(ctx, name, inbox), []).append(inbox)
        for most, inboxes in rooms.items():
            if await self.any_left(STATES[name], inboxes, None, but, at_hand, most):
                return True
        return False

    async def any_left(
        self,
        states: Collection[JobState],
        inboxes: Sequence[str | None] = (),
        longest: float | None = None,
        but: Collection[int] = (),
        at_hand: bool | None = None,
        most: int | None = None,
    ) -> bool:
        """Whether a job in one of `states`, not in `but`, remains to be worked on, now or later.

        `inboxes` empty: of any inbox. `longest`: only songs of at most so many seconds. `at_hand`:
        see `Journal.claim`. `most`: of the queued songs only those that need at most so many bytes.
        An original that can't be moved counts only when its next try is due, since its tries may
        never end.
        """
        ctx = self._ctx
        return bool(
            await ctx.journal.claim(
                states,
                now=float("inf"),
                owner=ctx.owner,
                limit=1,
                busy=but,
                longest=longest,
                inboxes=inboxes,
                unfiled_by=ctx.now(),
                at_hand=at_hand,
                fits=fitting(most),
            )
        )

    async def affordable_left(self, but: Collection[int]) -> bool:
        """Whether any job not in `but` remains that no inbox's own pause and no budget holds."""
        ctx = self._ctx
        for inbox in self._turns[SUBMIT]:
            if any(pause.inbox is not None for pause in ctx.gate.bars(SUBMIT, inbox)):
                continue
            if ctx.space.may_go_on(inbox):
                return True
            longest = await self._affordable(inbox, ())
            held = {*but, *ctx.troubles.waiting(), *ctx.memory.too_dear(longest)}
            most = passing(ctx, SUBMIT, inbox)
            if await self.any_left(ALL, self._only(inbox), longest, held, most=most):
                return True
        return False

    async def _affordable(self, inbox: str | None, working: Iterable[Job]) -> float | None:
        """Seconds of audio that may still be submitted from this inbox; None for no limit."""
        ctx = self._ctx
        if ctx.local:
            return None
        uploading = [job for job in working if job.id not in ctx.committed]
        return await ctx.budget.affordable(ctx.journal, ctx.now(), inbox, uploading)

    def _only(self, inbox: str | None) -> list[str | None]:
        """The journal's filter by inbox; empty where there is one inbox only."""
        return [inbox] if len(self._turns[SUBMIT]) > 1 else []
