"""Progress of songs under way: bars on a terminal, one plain line for each change when piped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from stemwatch.log import redacted
from stemwatch.ui import text
from stemwatch.workers.progress import DELIVERING, DOWNLOAD, SEPARATING, UPLOAD, Running

Entry = Mapping[str, Any]
_STAGES = {UPLOAD: "green", SEPARATING: "magenta", DOWNLOAD: "cyan", DELIVERING: "yellow"}
_SHOWN = 12  # bars at a time: a terminal is no taller
_FULL = 0.99  # an estimate that is over is not yet an end


class Bars:
    """Draws what `update` is given; a context manager, so that the cursor always comes back.

    `terminal` None: bars where standard output is a terminal.
    """

    def __init__(self, *, terminal: bool | None = None) -> None:
        self._live = text.on_terminal() if terminal is None else terminal
        self._tasks: dict[int, TaskID] = {}
        self._stages: dict[int, tuple[str, str]] = {}  # id -> name, stage
        self._progress: Progress | None = None
        self._overall: TaskID | None = None

    def __enter__(self) -> Bars:
        if self._live:
            self._progress = Progress(
                _Plain("name", Column(ratio=2, no_wrap=True, overflow="ellipsis")),
                _Plain("stage", Column(width=10, no_wrap=True)),
                BarColumn(),
                _Plain("amount", Column(min_width=12, no_wrap=True, justify="right")),
                console=text.console(),
                transient=True,
                refresh_per_second=8,
            )
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def tell(self, line: str, good: bool = True) -> None:
        """One outcome: a line that stays, above the bars."""
        if self._progress is None:
            text.say(line)
        else:
            style = "green" if good else "bold red"
            self._progress.console.print(Text(redacted(line), style=style), soft_wrap=True)

    def update(
        self, running: Sequence[Entry | Running], finished: int, total: int | None = None
    ) -> None:
        """What is under way now, and how many songs are finished of how many (None: not known).

        Entries have the fields of `progress.Running`: id, name, stage, done, total, since.
        """
        entries = [asdict(one) if isinstance(one, Running) else one for one in running]
        if self._progress is None:
            self._print_changes(entries)
        else:
            self._draw(self._progress, entries, finished, total)

    def _print_changes(self, entries: Sequence[Entry]) -> None:
        now = {int(one["id"]): (str(one["name"]), str(one["stage"])) for one in entries}
        for job, (name, stage) in now.items():
            if self._stages.get(job) != (name, stage):
                text.say(f"{name}: {stage}")
        self._stages = now

    def _draw(
        self, progress: Progress, entries: Sequence[Entry], finished: int, total: int | None
    ) -> None:
        shown = {int(one["id"]): one for one in entries[:_SHOWN]}
        for job in [job for job in self._tasks if job not in shown]:
            progress.remove_task(self._tasks.pop(job))
        for job, one in shown.items():
            if job not in self._tasks:
                self._tasks[job] = progress.add_task("", total=None)
            stage, whole, done = str(one["stage"]), one.get("total"), float(one.get("done") or 0)
            progress.update(
                self._tasks[job],
                total=whole or None,
                completed=min(done, whole * _FULL) if whole and stage == SEPARATING else done,
                name=redacted(str(one["name"])),
                stage=Text(stage, style=_STAGES.get(stage, "")),
                amount=text.amount(one, time.time()),
            )
        if self._overall is None:
            self._overall = progress.add_task("")
        more = len(entries) - len(shown)
        progress.update(
            self._overall,
            total=total,
            completed=finished,
            name="all songs" + (f" ({more} more under way)" if more > 0 else ""),
            stage="",
            amount=f"{finished} of {total}" if total is not None else f"{finished} done",
        )


class _Plain(ProgressColumn):
    """A field of the task as it is: rich's own column would read a name as a format string."""

    def __init__(self, field: str, column: Column) -> None:
        self._field = field
        super().__init__(table_column=column)

    def render(self, task: Task) -> Text:
        value = task.fields.get(self._field, "")
        return value if isinstance(value, Text) else Text(str(value))
