"""When to ask for a remote job: not before it is likely to be done, then in small steps.

Measured on the tutorial's fixed 3 s: 16 polls a job; this needs 5 for equal jobs, 7 to 10 where
they vary by a quarter.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass

REMEMBER = 20  # recent jobs that the estimate is made from
_CALLED = 900.0  # seconds for which a callback that came shows that others will
_EARLY = 256  # callbacks kept that came before the answer that names their job
_SPARED = 4.0  # polls are that many times rarer meanwhile


class Estimate:
    """How long remote jobs take, from what was observed lately (seconds)."""

    def __init__(self) -> None:
        self._low: deque[float] = deque(maxlen=REMEMBER)
        self._high: deque[float] = deque(maxlen=REMEMBER)

    def observe(self, still_running_at: float, done_at: float) -> None:
        """A job was running at one poll and done at the next (seconds after its start)."""
        self._low.append(still_running_at)
        self._high.append(done_at)

    @property
    def typical(self) -> float | None:
        """The median time at which a job was seen done; None before the first one."""
        return sorted(self._high)[len(self._high) // 2] if self._high else None

    def first(self, step: float) -> float:
        """Seconds after its start at which a job is worth a first poll."""
        return max(step, min(self._low)) if self._low else step

    def step(self, elapsed: float, shortest: float, longest: float) -> float:
        """Seconds until the next poll of a job that has been running for `elapsed`."""
        shortest = min(shortest, longest)
        if not self._high:
            return longest
        if elapsed > max(self._high):
            return min(longest, max(shortest, 0.05 * elapsed))
        return min(longest, max(shortest, (max(self._high) - min(self._low)) / 12))


@dataclass(slots=True)
class _Watched:
    started: float
    seen_running: float = 0.0
    due: float = 0.0
    remote_id: str = ""
    called: bool = False  # a callback woke the poll that is due
    asked: bool = False  # a poll is under way
    again: bool = False  # a callback came meanwhile: the answer may be older than it


class Polls:
    """The one schedule of all polls. All times are monotonic seconds, given as `now`."""

    def __init__(
        self, interval: float, shortest: float, late_after: float, late_step: float
    ) -> None:
        self.estimate = Estimate()
        self.repace(interval, shortest, late_after, late_step)
        self._jobs: dict[int, _Watched] = {}
        self._heap: list[tuple[float, int]] = []
        self._held_until = 0.0
        self._called_until = 0.0  # callbacks come: polling is only the backstop
        self._by_remote: dict[str, int] = {}
        self._early: OrderedDict[str, None] = OrderedDict()

    def repace(self, interval: float, shortest: float, late_after: float, late_step: float) -> None:
        """Other gaps from every job's next poll on."""
        self._interval = interval
        self._shortest = min(shortest, interval)
        self._late_after = late_after
        self._late_step = max(late_step, interval)

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._jobs

    def started(self, job_id: int, now: float, remote_id: str = "") -> None:
        """The remote has just taken this job."""
        called = self._watch(job_id, now, remote_id)
        wait = 0.0 if called else self.estimate.first(self._interval) * self._spared(now)
        self._plan(job_id, now + wait)

    def resumed(self, job_id: int, now: float, wait: float = 0.0, remote_id: str = "") -> None:
        """The job was at the remote before we started: ask after `wait` seconds."""
        called = self._watch(job_id, now, remote_id)
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
        job.seen_running = now - job.started
        if job.again:
            self._plan(job_id, now)
            return
        job.called = False
        if job.seen_running > self._late_after:
            step = self._late_step
        else:
            step = self.estimate.step(job.seen_running, self._shortest, self._interval)
        self._plan(job_id, now + step * self._spared(now))

    def done(self, job_id: int, now: float, *, learn: bool = True) -> None:
        """It ended. `learn` is False where the time it took says nothing (after a restart)."""
        job = self._jobs.pop(job_id, None)
        if job is None:
            return
        self._by_remote.pop(job.remote_id, None)
        if not job.called and learn:
            self._called_until = now  # it ended without one: they can't be relied upon
        if learn:
            took = now - job.started
            self.estimate.observe(took if job.called else job.seen_running, took)

    def postpone(self, job_id: int, now: float, delay: float) -> None:
        """The answer was no answer: ask again after `delay` seconds."""
        if job_id in self._jobs:
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

    def expected_end(self, now: float) -> float | None:
        """Seconds until the first of the running jobs is likely to end; None if unknown."""
        typical = self.estimate.typical
        if typical is None or not self._jobs:
            return None
        return max(0.0, min(job.started for job in self._jobs.values()) + typical - now)

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

    def _watch(self, job_id: int, now: float, remote_id: str) -> bool:
        """True if its callback was here already, quicker than the answer that names the job."""
        early = remote_id in self._early
        self._early.pop(remote_id, None)
        self._jobs[job_id] = _Watched(started=now, remote_id=remote_id, called=early)
        if remote_id:
            self._by_remote[remote_id] = job_id
        return early

    def _spared(self, now: float) -> float:
        return _SPARED if now < self._called_until else 1.0

    def _plan(self, job_id: int, due: float) -> None:
        job = self._jobs[job_id]
        job.due, job.asked, job.again = due, False, False
        heapq.heappush(self._heap, (due, job_id))
