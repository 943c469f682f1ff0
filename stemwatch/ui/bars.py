"""Progress of songs under way: bars on a terminal, one plain line for each change when piped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from stemwatch.log import redacted
from stemwatch.ui import song_row, text
from stemwatch.workers.progress import Running

if TYPE_CHECKING:
    from rich.live import Live

Entry = Mapping[str, Any]
_SHOWN = 12  # bars at a time, so that they fit into a terminal
_A_SECOND = 8  # drawings per second
_ENOUGH = 2  # finished songs from which the rest of the time is estimated
_NARROW = 60  # cells: a narrower terminal has no room for that estimate


class Bars:
    """Draws what `update` is given. A context manager, so that the cursor is always restored.

    `terminal` says whether to draw bars; None: if standard output is a terminal.
    """

    def __init__(self, *, terminal: bool | None = None) -> None:
        self._draws = text.on_terminal() if terminal is None else terminal
        # Asked before rich draws, since it replaces stdout by a stream without an encoding.
        self._unicode = text.speaks_unicode()
        self._stages: dict[int, tuple[str, str]] = {}  # id -> name, stage
        self._live: Live | None = None
        self._entries: Sequence[Entry] = ()
        self._finished = 0
        self._total: int | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Bars:
        if self._draws:
            from rich.live import Live

            self._live = Live(
                console=text.console(),
                transient=True,
                refresh_per_second=_A_SECOND,
                vertical_overflow="crop",
                get_renderable=self._drawn,
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, line: str, good: bool = True) -> None:
        """Print a line that stays above the bars, such as a song's outcome."""
        if self._live is None:
            text.say(line)
        else:
            style = "green" if good else "bold red"
            self._live.console.print(Text(redacted(line), style=style), soft_wrap=True)

    def update(
        self, running: Sequence[Entry | Running], finished: int, total: int | None = None
    ) -> None:
        """Show the songs under way, and `finished` of `total` songs (None: not known).

        Entries have the fields of `progress.Running`: id, name, stage, done, total, since.
        """
        entries = [asdict(one) if isinstance(one, Running) else one for one in running]
        if self._live is None:
            self._print_changes(entries)
        else:
            self._entries, self._finished, self._total = entries, finished, total

    def _print_changes(self, entries: Sequence[Entry]) -> None:
        now = {int(one["id"]): (str(one["name"]), str(one["stage"])) for one in entries}
        for job, (name, stage) in now.items():
            if self._stages.get(job) != (name, stage):
                text.say(f"{name}: {stage}")
        self._stages = now

    def _drawn(self) -> Group:
        """The bars at the terminal's present width. rich's drawing thread calls it."""
        if self._live is None:
            return Group()
        return Group(
            *drawn(
                self._entries,
                self._finished,
                self._total,
                self._live.console.width,
                time.time(),
                elapsed=time.monotonic() - self._began,
                unicode=self._unicode,
            )
        )


def drawn(
    entries: Sequence[Entry],
    finished: int,
    total: int | None,
    width: int,
    now: float,
    *,
    elapsed: float = 0.0,
    unicode: bool = True,
) -> list[Text]:
    """A row for each song and one for all songs, none wider than `width` cells.

    `elapsed` are the seconds so far. Once a few songs have ended, the last row has an estimate of
    the remaining time.
    """
    lines = [song_row.of(one, width, now, unicode=unicode) for one in entries[:_SHOWN]]
    more = len(entries) - _SHOWN
    name = "all songs" + (f" ({more} more)" if more > 0 else "")
    if total is not None and _ENOUGH <= finished < total and width >= _NARROW:
        name += f", about {text.span(elapsed / finished * (total - finished))} left"
    amount = f"{finished} of {total}" if total is not None else f"{finished} done"
    part = finished / total if total else None
    return [*lines, song_row.row(name, "", part, amount, width, unicode=unicode)]
