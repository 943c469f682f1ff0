"""Many events as one short message: how many of each, and the few that somebody has to see. Pure.

What comes from outside (names of songs, a server's words) is shown without line breaks, control
characters, keys and signed URLs. However much is gathered, the message stays small.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stemwatch.config.notify_keys import EVENTS
from stemwatch.log import redacted
from stemwatch.notices.events import BUDGET, DELIVERED, PAUSED, QUARANTINED, RESUMED, Event

_MOST = {QUARANTINED: 8, DELIVERED: 5}  # songs that are named; the others are only counted
_LINE = 200  # characters
_NAME = 80
_BODY = 1900  # what a Discord message takes, and most others


@dataclass(slots=True)
class Digest:
    """Events that wait to become one message."""

    counts: dict[str, int] = field(default_factory=dict)
    songs: dict[str, list[str]] = field(default_factory=dict)  # by kind, the first ones
    states: dict[tuple[str, str], str] = field(default_factory=dict)  # by kind and code, the last

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, event: Event) -> None:
        """Take in one event."""
        if event.kind not in _MOST:
            self._take(event.kind, 1, (), {(event.kind, event.key): _state(event)})
        elif len(self.songs.get(event.kind, ())) < _MOST[event.kind]:
            self._take(event.kind, 1, (_song(event),), {})
        else:
            self.counts[event.kind] += 1  # ten thousand in a second cost no more than this
        if event.kind == DELIVERED and event.code:  # its original can't be moved
            self.states[event.kind, event.code] = _state(event)

    def merge(self, later: Digest) -> None:
        """Take in what was gathered after this."""
        for kind, count in later.counts.items():
            states = {key: line for key, line in later.states.items() if key[0] == kind}
            self._take(kind, count, later.songs.get(kind, []), states)

    def _take(
        self, kind: str, count: int, songs: Iterable[str], states: dict[tuple[str, str], str]
    ) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count
        named = self.songs.setdefault(kind, [])
        named += list(songs)[: max(0, _MOST.get(kind, 0) - len(named))]
        for key, line in states.items():
            self.states.pop(key, None)  # the latest state stands last
            self.states[key] = line

    @property
    def urgent(self) -> bool:
        """Whether somebody may have to do something."""
        told = any(kind in self.counts for kind in (QUARANTINED, PAUSED, BUDGET))
        return told or any(kind == DELIVERED for kind, _ in self.states)

    def title(self, where: str) -> str:
        """Such as `stemwatch (nas): 12 delivered, 2 quarantined`; `where` is the machine."""
        return f"stemwatch ({where}): {', '.join(self._counted())}"

    def body(self) -> str:
        """A few lines, what is urgent first."""
        lines = []
        if songs := self.songs.get(QUARANTINED):
            lines += [f"Quarantined: {songs[0]}", *songs[1:]]
            if more := self.counts[QUARANTINED] - len(songs):
                lines.append(f"and {more} more in quarantine; `stemwatch status` lists them.")
        lines += self.states.values()
        if songs := self.songs.get(DELIVERED):
            more = self.counts[DELIVERED] - len(songs)
            lines.append(f"Delivered: {', '.join(songs)}{f' and {more} more' if more else ''}.")
        text = "\n".join(lines)
        return text if len(text) <= _BODY else f"{text[: _BODY - 1]}…"

    def _counted(self) -> list[str]:
        counted = []
        for kind in (kind for kind in EVENTS if kind in self.counts):
            codes = [code for of, code in self.states if of == kind]
            if kind in _MOST:
                counted.append(f"{self.counts[kind]} {kind}")
            elif kind == BUDGET:
                counted.append("budget used up")
            else:
                counted.append(f"{kind} ({', '.join(codes)})")
        return counted


def _song(event: Event) -> str:
    name = _short(event.name, _NAME)
    if event.kind == DELIVERED:
        return name
    return _short(f"{name} ({event.code}): {event.message}", _LINE)


def _state(event: Event) -> str:
    if event.kind == RESUMED:
        return f"Goes on ({event.code})."
    if event.kind == DELIVERED:
        told = f"Not moved from the inbox ({event.code}): {_short(event.name, _NAME)}: "
        return _short(f"{told}{event.message} {event.hint}".rstrip(), 2 * _LINE)
    head = "Paused" if event.kind == PAUSED else "Budget used up"
    return _short(f"{head} ({event.code}): {event.message} {event.hint}".rstrip(), 2 * _LINE)


def _short(text: str, most: int) -> str:
    text = redacted(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
