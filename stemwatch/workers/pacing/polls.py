"""The schedule of polls: when to ask for each remote job, as few times as possible.

Measured on the tutorial's fixed 3 s: 16 polls a job; this needs 3 for equal jobs, 7 or 8 where
they vary by a quarter.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stemwatch.workers.pacing.job_times import REMEMBER, Estimate, Window, next_step

_CALLED = 900.0  # seconds for which a callback that came shows that others will
_EARLY = 256  # callbacks kept that came before the answer that names their job
_SPARED = 4.0  # polls are that many times rarer meanwhile
_GUESSING = 15  # of more jobs at once: fewer polls before the first end, to have some for it
_CERTAIN = 6  # ends after which it is known how old a job has to be to end
_TOGETHER = 0.4  # of the interval for each job, before the first end
_QUEUED = 4  # such a young one is asked for that many times more rarely
_GOLDEN = 0.6180339887  # spreads consecutive numbers evenly
_WANTED = 8.0  # polls that find a job's end closely enough ...
_FEWEST = 2.0  # ... and as few as they are spread over where requests are scarce


@dataclass(slots=True)
class _Watched:
    started: float
    audio: float | None = None
    seen_running: float = 0.0
    due: float = 0.0
    remote_id: str = ""
    called: bool = False  # a callback woke the poll that is due
    asked: bool = False  # a poll is under way
    again: bool = False  # a callback came meanwhile: the answer may be older than it
    timed: bool = True  # it is known when it started
    postponed: bool = False  # its last poll got no answer
    turn: float = 0.0  # which part of a step it is ahead of, or behind, those that began with it
    over: bool = False  # seen done: its slot is given on, whatever our own disk takes to note it


class Polls:
    """The one schedule of all polls. All times are monotonic seconds, given as `now`.

    `rate` tells how many requests a second there are, for these and for submissions.
    """

    def __init__(
        self,
        interval: float,
        shortest: float,
        late_after: float,
        late_step: float,
        rate: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self.estimate = Estimate()
        self.repace(interval, shortest, late_after, late_step)
        self._rate = rate
        self.changed: Callable[[], None] = lambda: None  # told when a poll is planned
        self._jobs: dict[int, _Watched] = {}
        self._heap: list[tuple[float, int]] = []
        self._held_until = 0.0
        self._count = 0  # jobs so far
        self._called_until = 0.0  # callbacks come: polling is only the backstop
        self._ranks: deque[int] = deque(maxlen=REMEMBER)  # of ended jobs among the running ones
        self._by_remote: dict[str, int] = {}
        self._early: OrderedDict[str, None] = OrderedDict()

    def repace(self, interval: float, shortest: float, late_after: float, late_step: float) -> None:
        """Other gaps from every job's next poll on; `late_after` seconds it is reported as late."""
        self._interval = interval
        self._shortest = min(shortest, interval)
        self.late_after = late_after
        self._late_step = max(late_step, interval)

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[int]:
        return iter(self._jobs)

    def started(
        self, job_id: int, now: float, remote_id: str = "", audio: float | None = None
    ) -> None:
        """The remote has just taken this job, of `audio` seconds."""
        called = self._watch(job_id, now, remote_id, audio)
        wait = 0.0 if called else self._first(job_id) * self._spared(now)
        self._plan(job_id, now + wait)

    def resumed(
        self,
        job_id: int,
        now: float,
        wait: float = 0.0,
        remote_id: str = "",
        audio: float | None = None,
    ) -> None:
        """The job was at the remote before we started: ask after `wait` seconds."""
        called = self._watch(job_id, now, remote_id, audio)
        self._jobs[job_id].timed = False
        self._plan(job_id, now if called else now + wait)

    def called(self, remote_id: str, now: float) -> bool:
        """A callback says that this job ended: ask for it now, and for others more rarely.

        False where no such job is known (yet): it is remembered for a while.
        """
        job_id = self._by_remote.get(remote_id)
        if job_id is None:
            self._early[remote_id] = None
            while len(self._early) > _EARLY:
                self._early.popitem(last=False)
            return False
        self._called_until = now + _CALLED
        job = self._jobs[job_id]
        job.called = True
        if job.asked:
            job.again = True  # not two polls of one job at once
        else:
            self._plan(job_id, now)
        return True

    def running(self, job_id: int, now: float) -> None:
        """A poll found it still running."""
        job = self._jobs[job_id]
        job.postponed = False
        job.seen_running = now - job.started
        if job.again:
            self._plan(job_id, now)
            return
        job.called = False
        if job.seen_running > self.late_after:
            step = self._late_step
        else:
            step = self._step(job, job.seen_running)
        self._plan(job_id, now + step * self._spared(now))

    def done(self, job_id: int, now: float, *, learn: bool = True) -> None:
        """It ended. `learn` is False where the time it took says nothing (after a restart)."""
        if job_id not in self._jobs:
            return
        rank = list(self._jobs).index(job_id)
        job = self._jobs.pop(job_id)
        self._by_remote.pop(job.remote_id, None)
        if not job.called and learn:
            self._called_until = now  # it ended without one: they can't be relied upon
        if learn and job.timed:
            self._ranks.append(rank)
            took = now - job.started
            self.estimate.observe(took if job.called else job.seen_running, took, job.audio)
            self._replan(now)

    def over(self, job_id: int) -> None:
        """A poll found it done. `done` follows once that is on disk, or it is asked for again."""
        if job_id in self._jobs:
            self._jobs[job_id].over = True

    def postpone(self, job_id: int, now: float, delay: float) -> None:
        """The answer was no answer: ask again after `delay` seconds."""
        if job_id in self._jobs:
            self._jobs[job_id].postponed = True
            self._plan(job_id, now + delay)

    def let_go(self, job_id: int, now: float, delay: float) -> None:
        """A poll is over. Nobody said what comes of it: ask again after `delay` seconds."""
        job = self._jobs.get(job_id)
        if job is not None and job.asked:
            self._plan(job_id, now + delay)

    def hold(self, until: float) -> None:
        """No poll of any job before `until`: the server asked for it."""
        self._held_until = max(self._held_until, until)

    def elapsed(self, job_id: int, now: float) -> float:
        job = self._jobs.get(job_id)
        return now - job.started if job else 0.0

    def expected_ends(self, now: float, guess: float) -> list[float]:
        """Seconds until the jobs that hold a slot are likely to end, soonest first.

        `guess`: what one is thought to take while none has ended. One that takes longer than any
        before it is thought to take a quarter longer still.
        """
        ends = []
        for job in self._jobs.values():
            if job.over:
                continue
            window = self.estimate.window(job.audio) or Window(guess, guess)
            elapsed = now - job.started
            overdue = elapsed > window.latest + self._interval
            ends.append(elapsed / 4 if overdue else max(0.0, window.middle - elapsed))
        return sorted(ends)

    def take_due(self, now: float) -> int | None:
        """The job to be asked for now, if one is due. It is planned anew by what it answers."""
        while self._heap and max(self._heap[0][0], self._held_until) <= now:
            due, job_id = heapq.heappop(self._heap)
            job = self._jobs.get(job_id)
            if job is not None and job.due == due and not job.asked:
                job.asked = True
                return job_id
        return None

    def next_due(self) -> float | None:
        """When the next poll is due (monotonic seconds)."""
        while self._heap:
            due, job_id = self._heap[0]
            job = self._jobs.get(job_id)
            if job is not None and job.due == due and not job.asked:
                return max(due, self._held_until)
            heapq.heappop(self._heap)
        return None

    def _watch(self, job_id: int, now: float, remote_id: str, audio: float | None) -> bool:
        """True if its callback was here already, quicker than the answer that names the job."""
        early = remote_id in self._early
        self._early.pop(remote_id, None)
        turn = self._count * _GOLDEN % 1.0
        self._count += 1
        self._jobs[job_id] = _Watched(now, audio, remote_id=remote_id, called=early, turn=turn)
        if remote_id:
            self._by_remote[remote_id] = job_id
        return early

    def _first(self, job_id: int) -> float:
        """Seconds until a new job's first poll.

        Jobs that began together are asked for in turns: what one tells holds for the others, and
        three that are asked every 4 s tell of an end within 1.3.
        """
        job = self._jobs[job_id]
        wait, share = self._step(job, 0.0), job.turn
        if not self.estimate:
            return self._interval + wait * share
        step = self._step(job, wait)
        if self._scarcity() > 1.0 or step > self._shortest:  # at the very start few are done
            return wait + step * share
        if len(self._jobs) == 1:
            return wait
        # Not later than it may be done: then nobody would know how much sooner it was.
        return max(0.0, wait - step * share)

    def _step(self, job: _Watched, elapsed: float) -> float:
        """Seconds until its next poll; longer where there are too few requests for all jobs."""
        window = self.estimate.window(job.audio)
        if window is None:  # they are alike to us: what one tells holds for the others
            count = len(self._jobs)
            share = max(0.3, 1.0 - count / _GUESSING)
            gap = count / self._rate() / share
            return max(self._interval, self._interval * count * _TOGETHER, gap)
        scarce = self._scarcity()
        step = next_step(window, elapsed, self._shortest * scarce, self._interval * scarce, scarce)
        return step if self._may_be_next(job) else max(step, _QUEUED * self._interval)

    def _may_be_next(self, job: _Watched) -> bool:
        """Whether one as young as this ever ended first: where the server queues, none does."""
        if len(self._ranks) < _CERTAIN:
            return True
        oldest = itertools.islice(self._jobs.values(), max(self._ranks) + 1)
        return any(other is job for other in oldest)

    def _scarcity(self) -> float:
        """How many times fewer polls there are for each job than are wanted; 1 where none lacks."""
        typical = self.estimate.typical or 0.0
        each = self._rate() * typical / max(1, len(self._jobs)) - 1.0  # one submits the next
        return max(1.0, (_WANTED - 1.0) / (max(_FEWEST, each) - 1.0))

    def _replan(self, now: float) -> None:
        """One job's end tells when the others may be done: ask again when that is due."""
        for job_id, job in self._jobs.items():
            late = job.seen_running > self.late_after
            if job.timed and not (job.asked or job.called or job.postponed or late):
                seen = job.seen_running
                wait = self._step(job, seen) if seen else self._first(job_id)
                self._plan(job_id, max(now, job.started + seen + wait * self._spared(now)))

    def _spared(self, now: float) -> float:
        return _SPARED if now < self._called_until else 1.0

    def _plan(self, job_id: int, due: float) -> None:
        job = self._jobs[job_id]
        job.due, job.asked, job.again, job.over = due, False, False, False
        heapq.heappush(self._heap, (due, job_id))
        self.changed()
