"""The gate: all pauses, what each one holds back, and when each is tried again.

A pause never touches the inbox. It ends by itself: something is tried again after its backoff,
one request at a time, and what succeeds opens the gate for everybody. What a pause holds, and what
ends it, are the rules of `codes.py`; here is the time.

That something is free wherever the API can tell: a question (a probe). Two pauses need a song that
is paid for if it is taken: `credit` on a wire without a balance, and `server_error`, where
questions are answered and submissions fail. Then one song at a time tries, after waits that grow,
and for `server_error` only once a question was answered well.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from stemwatch.codes import FETCH, SUBMIT, Again, Code, Rule, rule_of
from stemwatch.errors import PauseService
from stemwatch.workers.pacing.backoff import full_jitter
from stemwatch.workers.pacing.timing import Timing

_IN_A_ROW = 5  # failures that pause


@dataclass(frozen=True, slots=True)
class Pause:
    """One reason why work is held. `since`, `until` and `met` are monotonic seconds.

    `inbox` is the one whose songs are held, where there are several; None: everybody's. `met`: when
    a request met it last. `tried`: somebody is finding out whether it is over. `cleared`: a
    question found nothing against a song that tries, or there is no such question.
    """

    code: str
    message: str
    hint: str
    since: float
    until: float
    attempts: int = 1
    inbox: str | None = None
    tried: bool = False
    met: float = 0.0
    cleared: bool = False

    @property
    def key(self) -> tuple[str, str | None]:
        return self.code, self.inbox

    @property
    def rule(self) -> Rule:
        return rule_of(self.code)


class Gate:
    """All pauses of the service, by code; those of `one_inbox` also by inbox."""

    def __init__(
        self, timing: Timing, clock: Callable[[], float], rng: random.Random | None = None
    ) -> None:
        self._timing = timing
        self._clock = clock
        self._rng = rng or random.Random()
        self._pauses: dict[tuple[str, str | None], Pause] = {}
        # Told of each pause that begins (True) or ends.
        self.on_change: Callable[[Pause, bool], None] = lambda pause, begins: None
        self.on_trial: int | None = None  # the job that may be submitted to see if a pause is over
        self._failures = 0  # requests in a row that found no working server
        self._refusals = 0  # submissions in a row that did, however well it answers other calls
        self._storage_failures = 0  # downloads in a row
        # Ends of a pause that no accepted submission has confirmed, with the tries that it took and
        # the time: the next one waits longer.
        self._unconfirmed: dict[str, tuple[int, float]] = {}
        self.unanswered: dict[str, tuple[float, int]] = {}  # questions in a row, in which pause

    @property
    def pauses(self) -> list[Pause]:
        return list(self._pauses.values())

    def pause(self, fault: PauseService, inbox: str | None = None) -> bool:
        """Close for this fault, longer each time in a row. True if the pause is new.

        `inbox`: whose song, or whose folders, met it.
        """
        now = self._clock()
        of = inbox if rule_of(fault.code).one_inbox else None
        before = self._pauses.get((fault.code, of))
        attempts = 1 + self._unconfirmed.get(fault.code, (0, now))[0]
        if before is not None:
            # What was on its way when the pause began was no try: ten polls that fail at once
            # would pass for ten looks at a server that is down.
            attempts = before.attempts + (before.tried or before.until <= now)
        wait = self._backoff(fault.code, attempts) if fault.after is None else fault.after
        wait = min(wait, self._timing.retry_after_max)
        until = now + wait
        if before is not None and fault.code == Code.RATE_LIMITED:
            until = max(until, before.until)  # a later, shorter Retry-After frees nobody
        if before is not None and not before.tried and before.rule.again is Again.HERE:
            until = min(until, before.until)  # met again and again, it would never be tested
        since = before.since if before else now
        self._pauses[fault.code, of] = Pause(
            fault.code, fault.message, fault.hint, since, until, attempts, of, met=now
        )
        if before is None:
            self.on_change(self._pauses[fault.code, of], True)
        return before is None

    def reopen(self, code: str, inbox: str | None = None) -> bool:
        """The cause is gone, or seems to be. True if there was such a pause."""
        ended = self._pauses.pop((code, inbox), None)
        if ended is None:
            return False
        if code == Code.SERVER:
            self._failures = 0
        if ended.rule.on_trust:
            self._unconfirmed[code] = ended.attempts, self._clock()
        self.on_change(ended, False)
        return True

    def server_failed(
        self, message: str, *, submitting: bool, after: float | None = None
    ) -> str | None:
        """A request found no working server; five in a row pause. Names the pause if it is new.

        A server may answer polls and still fail every submission: without a count of their own,
        each good poll would let the whole queue be uploaded for nothing.
        """
        self._failures += 1
        self._refusals += submitting
        if self._failures >= _IN_A_ROW:
            code = Code.SERVER
        elif self._refusals >= _IN_A_ROW:
            code = Code.SERVER_ERROR
        else:
            return None
        return code if self.pause(outage(message, code, after)) else None

    def storage_failed(self, message: str, after: float | None = None) -> bool:
        """A download found no working host; five in a row pause. True if that is new.

        Submitting pauses too: songs would be paid for whose stems can't be fetched.
        """
        self._storage_failures += 1
        if self._storage_failures < _IN_A_ROW:
            return False
        hint = "Nothing to do: what is paid for is fetched once the storage answers again."
        return self.pause(PauseService(message, code=Code.STORAGE, hint=hint, after=after))

    def storage_answered(self, began: float) -> bool:
        """A download that began at `began` got an answer. True if that ended an outage."""
        self._storage_failures = 0
        return self._met_before(Code.STORAGE, began) and self.reopen(Code.STORAGE)

    def answered(self, began: float) -> bool:
        """A request that began at `began` got an answer that made sense. True if that ended an
        outage.
        """
        self._failures = 0
        return self._met_before(Code.SERVER, began) and self.reopen(Code.SERVER)

    def accepted(self, began: float) -> list[str]:
        """A submission that began at `began` was taken. Names the pauses that this ends.

        Those that nobody has met since. Of what a neighbour met while this one was under way it
        says nothing: the server had let it in already.
        """
        self._failures = self._refusals = 0
        met = [code for code in Code if code.rule.proven and self._met_before(code, began)]
        ended: list[str] = [code for code in met if self.reopen(code)]
        self._unconfirmed = {
            code: (tries, at)
            for code, (tries, at) in self._unconfirmed.items()
            if at > began and code not in ended
        }
        return ended

    def _met_before(self, code: str, began: float) -> bool:
        pause = self._pauses.get((code, None))
        return pause is not None and pause.met <= began

    def closed(self, what: str, inbox: str | None = None) -> Pause | None:
        """The pause that holds `what` back now for this inbox, if any; the longest one first.

        Where there are several, none of them is None: then it is the one for everybody.
        """
        return max(self.holding(what, inbox), key=lambda p: p.until, default=None)

    def lets(self, what: str, inbox: str | None) -> bool:
        """Whether songs of this inbox may be worked on, if only for a trial."""
        return self.closed(what, inbox) is None or bool(self.trial(what, inbox))

    def trial(self, what: str = SUBMIT, inbox: str | None = None) -> list[Pause]:
        """The pauses that only one real `what` can end, if nothing else holds it back now."""
        holding, now = self.holding(what, inbox), self._clock()
        ripe = all(
            p.rule.trial == what and p.until <= now and (p.cleared or what != SUBMIT)
            for p in holding
        )
        return holding if ripe else []

    def holding(self, what: str, inbox: str | None) -> list[Pause]:
        """All that hold `what` back now for this inbox."""
        now = self._clock()
        return [
            p
            for p in self._pauses.values()
            if what in p.rule.holds
            and p.inbox in (None, inbox)
            and not (p.code == Code.RATE_LIMITED and p.until <= now)
        ]

    def due(self) -> list[Pause]:
        """Pauses whose time is over, and for which something other than real work can be tried."""
        now, down = self._clock(), (Code.SERVER, None) in self._pauses
        return [
            p
            for p in self._pauses.values()
            if p.until <= now
            and not p.cleared
            and p.rule.trial != FETCH
            # One question for all of them: a server that is down is not to be asked three.
            and not (down and p.rule.asked)
        ]

    def tried(self, pause: Pause) -> None:
        """Somebody tries now: push the next try back, so that nobody else does meanwhile."""
        until = self._clock() + self._backoff(pause.code, pause.attempts + 1)
        self._pauses[pause.key] = replace(pause, until=until, tried=True, cleared=False)

    def clear(self, pause: Pause) -> None:
        """No question can end it (any more): one song may try, now. Unless one met it since."""
        now = self._pauses.get(pause.key)
        if now is not None and now.met == pause.met:
            self._pauses[now.key] = replace(now, until=self._clock(), tried=False, cleared=True)

    def in_vain(self, pause: Pause, after: float | None = None) -> None:
        """The try found it as it was: the next one waits longer, `after` seconds at least."""
        if (now := self._pauses.get(pause.key)) is not None:
            attempts = pause.attempts + 1
            until = self._clock() + max(self._backoff(pause.code, attempts), after or 0.0)
            self._pauses[now.key] = replace(now, attempts=attempts, until=until, tried=False)

    def seconds_left(self, code: str) -> float:
        """Until everybody's pause `code` is tried again; 0 where there is none."""
        pause = self._pauses.get((code, None))
        return 0.0 if pause is None else max(0.0, pause.until - self._clock())

    def since(self, code: str, inbox: str | None) -> float | None:
        """When the pause `code` that holds this inbox began (monotonic seconds), or None."""
        pause = self._pauses.get((code, inbox if rule_of(code).one_inbox else None))
        return None if pause is None else pause.since

    def next_due(self) -> float | None:
        """When the next pause can be tried (monotonic seconds), of those that can't be now."""
        now = self._clock()
        return min((p.until for p in self._pauses.values() if p.until > now), default=None)

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


def outage(message: str, code: str = Code.SERVER, after: float | None = None) -> PauseService:
    """The pause of a server that does not answer, or (`server_error`) that takes no song."""
    hint = "Nothing to do: it is tried again, and goes on by itself. `api.base_url` names it."
    return PauseService(message, code=code, hint=hint, after=after)
