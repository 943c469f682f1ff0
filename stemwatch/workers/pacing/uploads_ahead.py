"""Uploads ahead: how many uploads may begin before a slot at the remote is free.

An upload ahead starts before a slot is free and holds back its last bytes until one is. On a slow
line this hides the time of the upload. Begun too early, the upload is wasted: a wire that keeps a
connection open for it waits for some seconds only, and some servers refuse it at once. The line
is kept busy meanwhile. No I/O; all times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from stemwatch.workers.pacing.polls import Polls
from stemwatch.workers.pacing.slots import Slots
from stemwatch.workers.pacing.timing import Timing

# Assumed until the first upload is through: bytes a second, and bytes.
_RATE, _SIZE = 5e6, 8_000_000
_LATELY = 8  # the last uploads, by which the line's speed is judged
_CHEAP = 0.05  # uploads that take less than this share of the lookahead are cheap to waste
_TOO_SOON = 0.8  # an upload waits for this share of the time after which a server closed another


@dataclass(slots=True)
class _Running:
    """An upload that has no slot yet."""

    size: int
    began: float
    ahead: bool  # begun while every slot was taken
    sent: int = 0
    moved: float = 0.0  # when it last sent anything
    whole: float | None = None  # when all but its last bytes were sent


class Ahead:
    """The uploads under way that hold no slot.

    `keeps` gives the seconds for which the storage keeps an uploaded song; None: the wire has no
    such storage, and a waiting upload holds its connection open.
    """

    def __init__(
        self,
        timing: Timing,
        slots: Slots,
        polls: Polls,
        clock: Callable[[], float],
        keeps: Callable[[], float | None],
    ) -> None:
        self._timing = timing
        self._slots = slots
        self._polls = polls
        self._clock = clock
        self._keeps = keeps
        self._running: dict[int, _Running] = {}
        self._rates: deque[float] = deque(maxlen=_LATELY)
        self._sizes: deque[int] = deque(maxlen=_LATELY)
        # The server closed a waiting upload: the seconds that one may wait now, and until when
        # this is believed, since the line may have been at fault.
        self._closed_after: float | None = None
        self._closed_until = 0.0
        self._blips = 0  # uploads in a row that were closed as soon as they waited
        self._rest_until = 0.0
        self._in_vain = False  # an upload waited in vain: no other begins before a slot is given

    # -- whether another upload may begin --------------------------------------------------

    @property
    def longest_hold(self) -> float:
        """Seconds that an upload may wait for its slot."""
        keeps = self._keeps()
        return self._held_for if keeps is None else keeps

    @property
    def _held_for(self) -> float:
        most = self._timing.hold_max
        if self._closed_after is None or self._clock() >= self._closed_until:
            return most
        return min(most, self._closed_after)

    def room(self) -> bool:
        """Whether one more upload may begin now; its size says whether another may then."""
        now = self._clock()
        wait = self._wait(now)
        return wait is not None and wait <= 0.0 and self._line_is_free(now)

    def next_room(self) -> float | None:
        """When time alone may make room for another upload (monotonic seconds), or None."""
        now = self._clock()
        wait = self._wait(now)
        if wait is None:
            return None
        if wait > 0.0:
            return now + wait
        counts = [run for run in self._running.values() if run.whole is None]
        stalls = [run.moved + self._timing.line for run in counts]
        # A stall that is counted already changes nothing: "now" would have the pool ask for ever.
        return min((stall for stall in stalls if stall > now), default=None)

    def _wait(self, now: float) -> float | None:
        """Seconds until another upload is wanted if the line is free.

        None: an event has to come first.
        """
        over = len(self._running) - self._slots.vacant
        if over < 0:
            return 0.0
        if self._in_vain or over >= self._slots.limit:
            return None
        if now < self._rest_until:
            return self._rest_until - now
        ends = self._polls.expected_ends(now, self._timing.job_guess)
        if over >= len(ends):
            return None
        if (keeps := self._keeps()) is not None:  # it waits at the storage and holds up nothing
            return 0.0 if ends[over] <= keeps / 2 else None
        takes = self._takes()
        if not self._polls.estimate:
            # No job has ended yet, and a wrong guess wastes uploads: begin few slow ones.
            few = over < (self._slots.limit + 1) // 2
            if not few and takes >= self._timing.lookahead * _CHEAP:
                return None
        return ends[over] - takes - min(self._timing.lookahead, self._held_for / 2)

    def _takes(self) -> float:
        """Seconds that an upload is likely to take, at the slowest rate of the last ones."""
        return self._size() / min(self._rates, default=_RATE)

    def _size(self) -> float:
        sizes = [*self._sizes] or [run.size for run in self._running.values()] or [_SIZE]
        return sum(sizes) / len(sizes)

    def _line_is_free(self, now: float) -> bool:
        """Whether what the running uploads have left keeps the line busy for a short time only.

        Uploads run one after another: that is as quick as all at once, and the first can take its
        slot sooner. An upload that stalls is not counted, so that it can't hold up the others.
        """
        left = 0
        for run in self._running.values():
            if run.whole is None and now - run.moved < self._timing.line:
                left += run.size - run.sent
        return left <= self._timing.line * max(self._rates, default=_RATE)

    # -- events of the running uploads -----------------------------------------------------

    def began(self, job_id: int, size: int) -> None:
        now = self._clock()
        ahead = len(self._running) >= self._slots.vacant
        self._running[job_id] = _Running(size, now, ahead, moved=now)

    def sends(self, job_id: int, size: int) -> None:
        """Correct the size in bytes: a song that goes as FLAC has fewer than its file."""
        if (run := self._running.get(job_id)) is not None:
            run.size = size

    def sent(self, job_id: int, count: int) -> bool:
        """`count` bytes of the upload are sent. True if that may have made room for another."""
        run = self._running.get(job_id)
        if run is None:
            return False
        now = self._clock()
        before = self._line_is_free(now)
        run.sent, run.moved = count, now
        return not before and self._line_is_free(now)

    def whole(self, job_id: int) -> None:
        """All but the last bytes are sent: the upload waits for a slot."""
        run = self._running.get(job_id)
        if run is not None:
            run.whole = self._clock()

    def admitted(self, job_id: int) -> None:
        """The upload has its slot, so it is no longer ahead."""
        self._in_vain = False
        run = self._running.get(job_id)
        now = self._clock()
        if run is not None and now - (run.whole or now) >= self._timing.line:
            self._blips = 0  # this server lets uploads wait
        self.ended(job_id)

    def answered(self, size: int, seconds: float) -> None:
        """Learn from an accepted upload of `size` bytes; `seconds` exclude its wait for a slot."""
        self._sizes.append(size)
        self._rates.append(max(1.0, size) / max(1e-6, seconds))

    def ended(self, job_id: int) -> None:
        self._running.pop(job_id, None)

    def refused(self, job_id: int) -> bool:
        """The upload was refused (429). True if it was ahead: that says nothing about the slots.

        A server that refuses an upload ahead will refuse the next: none begins for a long while.
        """
        run = self._running.get(job_id)
        if run is None or not run.ahead or self._keeps() is not None:
            return False
        self._rest_until = self._clock() + self._timing.ahead_again
        return True

    def expired(self, job_id: int, *, closed: bool) -> None:
        """The upload waited in vain for a slot. `closed`: the server closed it before we gave up.

        Later uploads wait for less, but only for a while: a router that restarts closes connections
        too. A server that twice in a row closes at once lets no upload wait: none begins ahead.
        """
        now, run = self._clock(), self._running.get(job_id)
        self._in_vain = True
        if not closed or run is None or run.whole is None:
            return
        waited = now - run.whole
        if waited < self._timing.line:
            self._blips += 1
            if self._blips > 1:
                self._rest_until = now + self._timing.ahead_again
        else:
            self._closed_after = min(waited * _TOO_SOON, self._held_for)
            self._closed_until = now + self._timing.ahead_again
