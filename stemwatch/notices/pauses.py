"""Which pauses are worth a message: those that last, and each of them once an hour at most. Pure.

A pause that ends before it was reported is never reported, and neither is its end: a 429 of two
seconds happens daily. A pause that comes back within the hour is reported when the hour is over, if
it still holds then: people who were told that work goes on must hear that it has stopped again.
"""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.notices.events import Event

AGAIN = 3600.0  # seconds between two messages that the same pause has begun


@dataclass(slots=True)
class _Held:
    event: Event
    due: float
    told: bool = False


class Pauses:
    """The pauses that hold now, by `Event.key`; times are monotonic seconds.

    `patience`: seconds until a pause is reported. `again`: seconds until the same one is again.
    """

    def __init__(self, patience: float, again: float = AGAIN) -> None:
        self._patience = patience
        self._again = again
        self._held: dict[str, _Held] = {}
        self._told_at: dict[str, float] = {}

    def begins(self, event: Event, now: float) -> None:
        """A pause begins."""
        due = now + self._patience
        if event.key in self._told_at:
            due = max(due, self._told_at[event.key] + self._again)
        self._held.setdefault(event.key, _Held(event, due))

    def ends(self, key: str) -> bool:
        """The pause `key` ends. True if its beginning was reported."""
        held = self._held.pop(key, None)
        return held is not None and held.told

    def due(self) -> float | None:
        """The time at which the next pause is to be reported; None if there is none."""
        return min((held.due for held in self._held.values() if not held.told), default=None)

    def take(self, now: float, *, rest: bool = False) -> list[Event]:
        """The pauses to report now (`rest`: all unreported ones); they count as reported then."""
        untold = [held for held in self._held.values() if not held.told]
        ripe = [held for held in untold if rest or held.due <= now]
        for held in ripe:
            held.told = True
            self._told_at[held.event.key] = now
        return [held.event for held in ripe]
