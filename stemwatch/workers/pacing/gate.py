"""The gate: all pauses, what each one holds back, and when each is tried again.

A pause never touches the inbox. It ends by itself: after a backoff one request is tried, and its
success opens the gate for everybody. The rules in `codes.py` say what a pause holds back and what
ends it. This module says when.

Wherever the API can tell, the try is a probe, a question that costs nothing. Other pauses need a
trial, a song that is paid for if it is accepted, such as `credit` on a wire that tells no balance,
and `server_error`, where questions are answered and submissions fail. Then one song at a time is
tried, after growing waits; for `server_error` only after a question was answered well.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from stemwatch.codes import FETCH, SUBMIT, Again, Code, rule_of
from stemwatch.errors import PauseService
from stemwatch.workers.backoff import full_jitter
from stemwatch.workers.pacing.failed_downloads import IN_A_ROW, FailedDownloads
from stemwatch.workers.pacing.pause import Pause, outage
from stemwatch.workers.pacing.timing import Timing

_IN_VAIN = 8  # tries of a pause for the storage, after which two songs are no sign of an outage


class Gate:
    """All pauses of the service, by code and, where the code's rule says so, by inbox."""

    def __init__(
        self, timing: Timing, clock: Callable[[], float], rng: random.Random | None = None
    ) -> None:
        self._timing = timing
        self._clock = clock
        self._rng = rng or random.Random()
        self._pauses: dict[tuple[str, str | None], Pause] = {}
        # Each is called with every pause, and True when it begins or False when it ends.
        self.on_change: list[Callable[[Pause, bool], None]] = []
        self.changes = 0  # pauses so far that began or ended
        self.on_trial: int | None = None  # the job that is submitted to see if a pause is over
        self._failures = 0  # requests in a row that found no working server
        self._refusals = 0  # submissions in a row that found none, however other calls fare
        self.downloads = FailedDownloads()
        # By code, pauses whose end no accepted submission has confirmed yet: the tries that each
        # took, and when it ended. If such a pause begins again, its waits go on from there.
        self._unconfirmed: dict[str, tuple[int, float]] = {}
        # By code: when the pause began, and how many probes in a row got no answer.
        self.unanswered: dict[str, tuple[float, int]] = {}

    @property
    def pauses(self) -> list[Pause]:
        return list(self._pauses.values())

    def pause(self, fault: PauseService, inbox: str | None = None) -> bool:
        """Begin a pause for this fault, or prolong it. True if the pause is new.

        Each try in a row that fails makes the wait longer. `inbox` is the inbox whose song or
        folders met the fault.
        """
        now = self._clock()
        of = inbox if rule_of(fault.code).one_inbox else None
        before = self._pauses.get((fault.code, of))
        attempts = 1 + self._unconfirmed.get(fault.code, (0, now))[0]
        if before is not None:
            # Requests that were on their way when the pause began are no tries. Ten polls that
            # fail at once would otherwise count as ten tries.
            attempts = before.attempts + (before.tried or before.until <= now)
        wait = self._backoff(fault.code, attempts) if fault.after is None else fault.after
        wait = min(wait, self._timing.retry_after_max)
        until = now + wait
        if before is not None and fault.code == Code.RATE_LIMITED:
            until = max(until, before.until)  # a later Retry-After never shortens the pause
        if before is not None and not before.tried and before.rule.again is Again.HERE:
            until = min(until, before.until)  # each new fault would put the next try off for good
        since = before.since if before else now
        self._pauses[fault.code, of] = Pause(
            fault.code, fault.message, fault.hint, since, until, attempts, of, met=now
        )
        if before is None:
            self._changed(self._pauses[fault.code, of], True)
        return before is None

    def order(self, pause: Pause) -> bool:
        """Hold work back until `reopen`, as a person or the clock says. True if that is new."""
        before = self._pauses.get(pause.key)
        self._pauses[pause.key] = pause
        if before is None:
            self._changed(pause, True)
        return before is None

    def reopen(self, code: str, inbox: str | None = None) -> bool:
        """End the pause: its cause is gone, or seems to be. True if there was such a pause."""
        ended = self._pauses.pop((code, inbox), None)
        if ended is None:
            return False
        if code == Code.SERVER:
            self._failures = 0
        if ended.rule.on_trust:
            self._unconfirmed[code] = ended.attempts, self._clock()
        self._changed(ended, False)
        return True

    def _changed(self, pause: Pause, begins: bool) -> None:
        self.changes += 1
        for told in self.on_change:
            told(pause, begins)

    def server_failed(self, message: str, *, submitting: bool, after: float | None = None) -> bool:
        """Count a request that found no working server. True if that begins a pause.

        Five in a row begin one. Submissions are counted apart as well: a server may answer polls
        and fail every submission, and then each good poll would reset a common count and the whole
        queue would be uploaded for nothing.
        """
        self._failures += 1
        self._refusals += submitting
        if self._failures >= IN_A_ROW:
            code = Code.SERVER
        elif self._refusals >= IN_A_ROW:
            code = Code.SERVER_ERROR
        else:
            return False
        return self.pause(outage(message, code, after))

    def storage_failed(self, job_id: int, message: str, after: float | None = None) -> None:
        """Count a download that found no working host; five in a row pause.

        The pause holds submissions too: they would pay for stems that can't be fetched. It takes
        two songs: while one song's stems alone fail, no other one would ever be there to end it. If
        two are all there is to try, that is so for them, too: after long they are left to
        themselves.
        """
        downloads, pause = self.downloads, self._pauses.get((Code.STORAGE, None))
        if job_id in downloads.dead:
            return
        downloads.counted.append(job_id)
        if pause is None and not downloads.look_like_an_outage:
            return
        if pause is not None and pause.attempts >= _IN_VAIN and len(downloads.songs) <= 2:
            downloads.give_up()
            self.reopen(Code.STORAGE)
            return
        hint = "Nothing to do: what is paid for is fetched once the storage answers again."
        self.pause(PauseService(message, code=Code.STORAGE, hint=hint, after=after))

    def storage_answered(self, began: float, job_id: int | None = None) -> bool:
        """A download that began at `began` got an answer. True if that ended an outage."""
        self.downloads.answered(job_id)
        return self._met_before(Code.STORAGE, began) and self.reopen(Code.STORAGE)

    def answered(self, began: float) -> None:
        """A request that began at `began` got a sensible answer, which ends an outage."""
        self._failures = 0
        if self._met_before(Code.SERVER, began):
            self.reopen(Code.SERVER)

    def accepted(self, began: float) -> None:
        """A submission that began at `began` was accepted, which ends pauses.

        A pause that another song met after `began` stays: the server had admitted this submission
        before, so its success says nothing of what came later.
        """
        self._failures = self._refusals = 0
        met = [code for code in Code if code.rule.proven and self._met_before(code, began)]
        for code in met:
            self.reopen(code)
        self._unconfirmed = {
            code: (tries, at)
            for code, (tries, at) in self._unconfirmed.items()
            if at > began and code not in met
        }

    def _met_before(self, code: str, began: float) -> bool:
        pause = self._pauses.get((code, None))
        return pause is not None and pause.met <= began

    def closed(self, what: str, inbox: str | None = None) -> Pause | None:
        """The pause that holds the lane `what` back now for this inbox, or None.

        Of several, the one that lasts longest. With `inbox` None only pauses for everybody count.
        """
        return max(self.holding(what, inbox), key=lambda p: p.until, default=None)

    def lets(self, what: str, inbox: str | None) -> bool:
        """Whether the lane `what` may take songs of this inbox, if only for a trial."""
        return not self.bars(what, inbox) or bool(self.trial(what, inbox))

    def bars(self, what: str, inbox: str | None) -> list[Pause]:
        """Those in `holding` that let no song by, however small it is."""
        return [pause for pause in self.holding(what, inbox) if not pause.rule.by_size]

    def trial(self, what: str = SUBMIT, inbox: str | None = None) -> list[Pause]:
        """The pauses that one real step of the lane `what` may now try to end.

        Empty while any other pause holds that lane back.
        """
        holding, now = self.bars(what, inbox), self._clock()
        ripe = all(
            p.rule.trial == what and p.until <= now and (p.cleared or what != SUBMIT)
            for p in holding
        )
        return holding if ripe else []

    def holding(self, what: str, inbox: str | None) -> list[Pause]:
        """All pauses that hold the lane `what` back now for this inbox."""
        now = self._clock()
        return [
            p
            for p in self._pauses.values()
            if what in p.rule.holds
            and p.inbox in (None, inbox)
            and not (p.code == Code.RATE_LIMITED and p.until <= now)
        ]

    def due(self) -> list[Pause]:
        """Pauses whose wait is over and that a probe, not a real song, can end."""
        now, down = self._clock(), (Code.SERVER, None) in self._pauses
        return [
            p
            for p in self._pauses.values()
            if p.until <= now
            and not (p.cleared or p.rule.ordered)
            and p.rule.trial != FETCH
            # One probe is enough: a server that is down is not asked once for each pause.
            and not (down and p.rule.asked)
        ]

    def tried(self, pause: Pause) -> None:
        """A try begins: put the next one off, so that nobody else tries meanwhile.

        Does nothing where the pause has ended since `pause` was read.
        """
        if (now := self._pauses.get(pause.key)) is not None:
            until = self._clock() + self._backoff(now.code, now.attempts + 1)
            self._pauses[now.key] = replace(now, until=until, tried=True, cleared=False)

    def clear(self, pause: Pause) -> None:
        """Let one song try now, because no probe can end this pause.

        Does nothing where a request has met the cause again since `pause` was read.
        """
        now = self._pauses.get(pause.key)
        if now is not None and now.met == pause.met:
            self._pauses[now.key] = replace(now, until=self._clock(), tried=False, cleared=True)

    def in_vain(self, pause: Pause, after: float | None = None) -> None:
        """The try failed: the next one comes after a longer wait, of at least `after` seconds."""
        if (now := self._pauses.get(pause.key)) is not None:
            attempts = pause.attempts + 1
            until = self._clock() + max(self._backoff(pause.code, attempts), after or 0.0)
            self._pauses[now.key] = replace(now, attempts=attempts, until=until, tried=False)

    def seconds_left(self, code: str) -> float:
        """Seconds until everybody's pause `code` is tried again; 0 where there is none."""
        pause = self._pauses.get((code, None))
        return 0.0 if pause is None else max(0.0, pause.until - self._clock())

    def since(self, code: str, inbox: str | None) -> float | None:
        """When the pause `code` that holds this inbox began (monotonic seconds), or None."""
        pause = self._pauses.get((code, inbox if rule_of(code).one_inbox else None))
        return None if pause is None else pause.since

    def next_due(self) -> float | None:
        """When the next pause that still waits can be tried (monotonic seconds), or None."""
        now = self._clock()
        waits = [p.until for p in self._pauses.values() if not p.rule.ordered]
        return min((until for until in waits if until > now), default=None)

    def _backoff(self, code: str, attempts: int) -> float:
        timing, rng = self._timing, self._rng
        match rule_of(code).again:
            case Again.DISK:
                return timing.disk_recheck
            case Again.OUTAGE:
                wait = full_jitter(attempts, timing.outage_first, timing.outage_max, rng)
                return wait if attempts <= 3 else max(wait, timing.outage_min)
            case Again.LIMIT:
                first, longest = timing.rate_limited_first, timing.rate_limited_max
            case Again.HERE:
                first, longest = timing.account_first, timing.unreadable_gap
            case Again.ACCOUNT:
                first, longest = timing.account_first, timing.account_max
        return full_jitter(attempts, first, longest, rng)
