"""Batches events: one message per time window and address, tried again where that failed. Pure.

The first event opens a window; when it closes, all that was gathered is one message. A message that
an address did not take is summed up with what comes later. It is tried again after one, two,
four ... windows, in the end once an hour.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from stemwatch.notices.events import PAUSED, RESUMED, Event
from stemwatch.notices.pauses import AGAIN, Pauses
from stemwatch.notices.summary import Digest

_LONGEST = 3600.0  # seconds between two tries


@dataclass(slots=True)
class _Address:
    waiting: Digest = field(default_factory=Digest)
    not_before: float = 0.0
    failures: int = 0


class Batch:
    """The events that wait for each of `addresses`; only events of `kinds` are sent.

    `every`: the length of a window in seconds. `again`: see `Pauses`. Times are monotonic seconds,
    given by the caller.
    """

    def __init__(
        self,
        addresses: Collection[str],
        *,
        kinds: Collection[str],
        every: float,
        again: float = AGAIN,
    ) -> None:
        self._kinds = frozenset(kinds)
        self._every = every
        self._pauses = Pauses(every, again)
        self._gathered = Digest()
        self._closes: float | None = None
        self._addresses = {name: _Address() for name in addresses}

    def add(self, event: Event, now: float) -> None:
        """Take in an event of the time `now`."""
        if event.kind == PAUSED:
            self._pauses.begins(event, now)
        elif event.kind != RESUMED or self._pauses.ends(event.key):
            self._gather(event, now)

    def _gather(self, event: Event, now: float) -> None:
        if event.kind in self._kinds:
            self._gathered.add(event)
            if self._closes is None:
                self._closes = now + self._every

    def due(self) -> float | None:
        """The time at which `take` has something to give; None: not before the next event."""
        waiting = [a.not_before for a in self._addresses.values() if a.waiting]
        times = [self._closes, self._pauses.due(), *waiting]
        return min((time for time in times if time is not None), default=None)

    def take(self, now: float, *, rest: bool = False) -> dict[str, Digest]:
        """The digests to send now, by address; `rest`: all that there are, at the end.

        Each must be answered with `sent`, `failed` or `drop` before the next `take`.
        """
        for event in self._pauses.take(now, rest=rest):
            self._gather(event, now - self._every)  # a pause has waited for a window already
        if self._closes is not None and (rest or self._closes <= now):
            for address in self._addresses.values():
                address.waiting.merge(self._gathered)
            self._gathered, self._closes = Digest(), None
        return {
            name: address.waiting
            for name, address in self._addresses.items()
            if address.waiting and (rest or address.not_before <= now)
        }

    def sent(self, name: str, now: float) -> None:
        """The address `name` took its message."""
        self._addresses[name] = _Address(not_before=now + self._every)

    def failed(self, name: str, now: float) -> bool:
        """The address `name` did not take its message. True if it is the first failure in a row."""
        address = self._addresses[name]
        wait = min(_LONGEST, self._every * 2.0 ** min(address.failures, 20))
        address.not_before = now + max(wait, self._every)
        address.failures += 1
        return address.failures == 1

    def drop(self, name: str) -> None:
        """Forget the address `name`: nothing can ever be sent there."""
        del self._addresses[name]

    @property
    def unsent(self) -> int:
        """The number of addresses that something waits for."""
        return sum(bool(address.waiting) for address in self._addresses.values())
