"""The schedule of polls: when to ask for each remote job, as few times as possible.

Measured: a fixed gap of 3 s, as in the API's tutorial, takes 16 polls per job. This schedule takes
3 where all jobs take the same time, and 7 or 8 where they vary by a quarter.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from stemwatch.workers.pacing.job_times import REMEMBER, Estimate, Window, next_step

_CALLED = 900.0  # seconds for which one callback shows that callbacks arrive
_EARLY = 256  # callbacks that are kept because they came before the answer that names their job
_SPARED = 4.0  # while callbacks arrive, polls are that many times rarer
_GUESSING = 15  # before the first end, polls get 1 - jobs / _GUESSING of the requests, or 0.3
_CERTAIN = 6  # ends after which it is known how far back in the queue a job never ends
_TOGETHER = 0.4  # before the first end, a job's gap is that share of the interval, times the jobs
_QUEUED = 4  # a job farther back has a gap of at least that many intervals
_GOLDEN = 0.6180339887  # its multiples, modulo 1, are spread evenly
_WANTED = 8.0  # polls per job that find its end closely enough
_FEWEST = 2.0  # the least polls per job that are assumed where requests are scarce


@dataclass(slots=True)
class _Watched:
    started: float
    audio: float | None = None
    seen_running: float = 0.0
    due: float = 0.0
    remote_id: str = ""
    called: bool = False  # a callback made the next poll due
    asked: bool = False  # a poll is under way
    again: bool = False  # a callback came during a poll, whose answer may be older: poll again
    timed: bool = True  # the time at which it started is known
    postponed: bool = False  # its last poll got no answer
    turn: float = 0.0  # the share of a step by which its polls are shifted against other jobs'
    over: bool = False  # done at the server, so its slot is free, even if our journal is slow


class Polls:
    """The one schedule of all polls. All times are monotonic seconds, given as `now`.

    `rate` gives the requests per second that polls and submissions share.
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
        self.set_pace(interval, shortest, late_after, late_step)
        self._rate = rate
        self.changed: Callable[[], None] = lambda: None  # called when a poll is planned
        self._jobs: dict[int, _Watched] = {}
        self._heap: list[tuple[float, int]] = []
        self._held_until = 0.0
        self._count = 0  # jobs so far
        self._called_until = 0.0  # until then callbacks are expected, and polls are rarer
        self._ranks: deque[int] = deque(maxlen=REMEMBER)  # of ended jobs, 0 for the oldest one then
        self._by_remote: dict[str, int] = {}
        self._early: OrderedDict[str, None] = OrderedDict()

    def set_pace(
        self, interval: float, shortest: float, late_after: float, late_step: float
    ) -> None:
        """Change the gaps, from each job's next poll on. All arguments are seconds.

        A job that runs for longer than `late_after` is late: its gap is `late_step` from then on.
        """
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
        """The remote has just accepted this job, of `audio` seconds."""
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
        """The job was at the remote before this run started: poll it after `wait` seconds."""
        called = self._watch(job_id, now, remote_id, audio)
        self._jobs[job_id].timed = False
        self._plan(job_id, now if called else now + wait)

    def called(self, remote_id: str, now: float) -> bool:
        """A callback says that this job ended: poll it now, and the others more rarely.

        False where no such job is known yet; the callback is then kept for a while.
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
            job.again = True  # never two polls of one job at once
        else:
            self._plan(job_id, now)
        return True

    def running(self, job_id: int, now: float) -> None:
        """A poll found the job still running."""
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
        """The job ended. `learn` is False where the time it took says nothing of other jobs."""
        if job_id not in self._jobs:
            return
        rank = list(self._jobs).index(job_id)
        job = self._jobs.pop(job_id)
        self._by_remote.pop(job.remote_id, None)
        if not job.called and learn:
            self._called_until = now  # no callback came for it: they can't be relied upon
        if learn and job.timed:
            self._ranks.append(rank)
            took = now - job.started
            self.estimate.observe(took if job.called else job.seen_running, took, job.audio)
            self._replan(now)

    def over(self, job_id: int) -> None:
        """A poll found the job done. `done` follows once the journal holds it, or another poll."""
        if job_id in self._jobs:
            self._jobs[job_id].over = True

    def postpone(self, job_id: int, now: float, delay: float) -> None:
        """The poll got no usable answer: ask again after `delay` seconds."""
        if job_id in self._jobs:
            self._jobs[job_id].postponed = True
            self._plan(job_id, now + delay)

    def let_go(self, job_id: int, now: float, delay: float) -> None:
        """The poll's task ended. If no other call planned the next poll: in `delay` seconds."""
        job = self._jobs.get(job_id)
        if job is not None and job.asked:
            self._plan(job_id, now + delay)

    def hold(self, until: float) -> None:
        """Poll no job before `until`: the server asked for time."""
        self._held_until = max(self._held_until, until)

    def elapsed(self, job_id: int, now: float) -> float:
        job = self._jobs.get(job_id)
        return now - job.started if job else 0.0

    def expected_ends(self, now: float, guess: float) -> list[float]:
        """Seconds until the jobs that hold a slot are likely to end, soonest first.

        `guess` is the time that a job is assumed to take before any has ended. A job that takes
        longer than expected is assumed to take a quarter longer still.
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
        """The job that is due to be polled now, or None. The poll's outcome plans its next one."""
        while self._heap and max(self._heap[0][0], self._held_until) <= now:
            due, job_id = heapq.heappop(self._heap)
            job = self._jobs.get(job_id)
            if job is not None and job.due == due and not job.asked:
                job.asked = True
                return job_id
        return None

    def next_due(self) -> float | None:
        """When the next poll is due (monotonic seconds); None: no poll is planned."""
        while self._heap:
            due, job_id = self._heap[0]
            job = self._jobs.get(job_id)
            if job is not None and job.due == due and not job.asked:
                return max(due, self._held_until)
            heapq.heappop(self._heap)
        return None

    def _watch(self, job_id: int, now: float, remote_id: str, audio: float | None) -> bool:
        """Note a new job. True if its callback came before the answer that names the job."""
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

        Jobs that began together are polled in turn, since one job's end tells when the others end:
        three jobs that are each polled every 4 s show an end within 1.3 s.
        """
        job = self._jobs[job_id]
        wait, share = self._step(job, 0.0), job.turn
        if not self.estimate:
            return self._interval + wait * share
        step = self._step(job, wait)
        if self._scarcity() > 1.0 or step > self._shortest:  # few jobs end that early
            return wait + step * share
        if len(self._jobs) == 1:
            return wait
        # Never later than the job may be done: a late first poll can't tell when it ended.
        return max(0.0, wait - step * share)

    def _step(self, job: _Watched, elapsed: float) -> float:
        """Seconds until the job's next poll; longer where requests are too few for all jobs."""
        window = self.estimate.window(job.audio)
        if window is None:  # no job has ended yet: one job's end tells when the others end
            count = len(self._jobs)
            share = max(0.3, 1.0 - count / _GUESSING)
            gap = count / self._rate() / share
            return max(self._interval, self._interval * count * _TOGETHER, gap)
        scarce = self._scarcity()
        step = next_step(window, elapsed, self._shortest * scarce, self._interval * scarce, scarce)
        return step if self._may_be_next(job) else max(step, _QUEUED * self._interval)

    def _may_be_next(self, job: _Watched) -> bool:
        """Whether a job so far back in the server's queue has ever ended before the older ones."""
        if len(self._ranks) < _CERTAIN:
            return True
        oldest = itertools.islice(self._jobs.values(), max(self._ranks) + 1)
        return any(other is job for other in oldest)

    def _scarcity(self) -> float:
        """How much longer gaps are for want of requests: wanted polls over possible ones, or 1."""
        typical = self.estimate.typical or 0.0
        # One request per job is left for the next submission.
        each = self._rate() * typical / max(1, len(self._jobs)) - 1.0
        return max(1.0, (_WANTED - 1.0) / (max(_FEWEST, each) - 1.0))

    def _replan(self, now: float) -> None:
        """Plan the other jobs' polls anew: one job's end tells when they may end."""
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
