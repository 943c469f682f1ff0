"""Which pauses are worth a message: those that last, and each of them once an hour at most. Pure.

A pause that ends before anybody was told of it is not told, and neither is its end: a 429 of two
seconds is daily work. One that comes back within the hour is told when the hour is over, if it
still holds then: somebody who was told that it goes on must hear that it stands for good.
"""

from __future__ import annotations

from dataclasses import dataclass

from stemwatch.notices.events import Event

AGAIN = 3600.0  # seconds between two messages that the same pause begins


@dataclass(slots=True)
class _Held:
    event: Event
    due: float
    told: bool = False


class Pauses:
    """The pauses that hold now, by `Event.key`; monotonic times.

    `patience`: seconds until one is told.
    """

    def __init__(self, patience: float, again: float = AGAIN) -> None:
        self._patience = patience
        self._again = again
        self._held: dict[str, _Held] = {}
        self._told_at: dict[str, float] = {}

    def begins(self, event: Event, now: float) -> None:
        """Work is held from now on."""
        due = now + self._patience
        if event.key in self._told_at:
            due = max(due, self._told_at[event.key] + self._again)
        self._held.setdefault(event.key, _Held(event, due))

    def ends(self, key: str) -> bool:
        """It goes on. True if somebody was told that it did not."""
        held = self._held.pop(key, None)
        return held is not None and held.told

    def due(self) -> float | None:
        """When the next one is to be told."""
        return min((held.due for held in self._held.values() if not held.told), default=None)

    def take(self, now: float, *, rest: bool = False) -> list[Event]:
        """Those to be told now (with `rest`: all that nobody was told of), told from here on."""
        untold = [held for held in self._held.values() if not held.told]
        ripe = [held for held in untold if rest or held.due <= now]
        for held in ripe:
            held.told = True
            self._told_at[held.event.key] = now
        return [held.event for held in ripe]
