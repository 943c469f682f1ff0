"""What the page and the API need of the service: given to them, as this room is below it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from stemwatch.config import Settings
from stemwatch.job import Job, Options
from stemwatch.journal.pausing import Order
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.web.health import Health

Document = dict[str, Any]
Broken = Callable[[str, Exception], None]  # told of our own faults, with the path


class Door(Protocol):
    """The way into one inbox."""

    async def require_online(self) -> None:
        """Raise PauseService unless its disk is mounted and answers."""

    def look(self) -> None:
        """A file was put there: look through it now."""

    def asking(self, relpath: str, options: Options) -> AbstractContextManager[None]:
        """The file that appears at `relpath` inside of it, without an exception, is to become this,
        whatever its folder says. Any thread may enter it.
        """

    async def admit(self, relpath: str, options: Options) -> Job:
        """Journal the file at `relpath` now, as it stands. Raises what `Intake.admit` does; then
        the scan takes it, with what was asked for.
        """


@dataclass(frozen=True, slots=True)
class Backing:
    """`settings` are those in force. `doors` are by inbox, the only one's name is None.

    `watching` gives how each inbox is watched. `reckon` reads from the journal `money`, the
    document of `stemwatch status` on the budget, and `remaining`, the seconds until all is
    delivered. `retry` puts a quarantined job back to work, and gives it with words on what
    happened; `discard` ends a queued or quarantined one. `pause` takes the words of its end, such
    as `2h` (None: none), and raises ValueError for what is no time; `resume` ends it; `first` has a
    queued job go next (False: it is queued no more). All of them raise StemwatchError.
    """

    settings: Callable[[], Settings]
    health: Health
    doors: Mapping[str | None, Door]
    watching: Callable[[], list[Document]]
    reckon: Callable[[ReadOnlyJournal], Awaitable[Document]]
    retry: Callable[[Job], Awaitable[tuple[Job, str]]]
    discard: Callable[[Job], Awaitable[tuple[Job, str]]]
    pause: Callable[[str | None], Awaitable[Order]]
    resume: Callable[[], Awaitable[None]]
    first: Callable[[Job], Awaitable[bool]]
    password: str | None
    state_dir: str
