"""Text for terminals: escapes odd file names, formats times, sizes and amounts."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

import click

from stemwatch.log import redacted
from stemwatch.workers.progress import DOWNLOAD, SEPARATING, UPLOAD

if TYPE_CHECKING:
    from rich.console import Console

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))


def say(text: str = "", *, err: bool = False) -> None:
    """Print one line. It can't move the cursor, show a secret or break the encoding."""
    stream = sys.stderr if err else sys.stdout
    _forgive(stream)
    click.echo(redacted(text), file=stream)


def console() -> Console:
    """The console for tables and bars. It takes names as text, never as markup or emoji codes."""
    from rich.console import Console  # imported here, since `--json` does without

    _forgive(sys.stdout)
    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False)


def speaks_unicode(stream: IO[str] | None = None) -> bool:
    """Whether `stream` (None: standard output) can show check marks and box lines."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    return encoding.lower().replace("-", "").startswith("utf")


def on_terminal() -> bool:
    return sys.stdout.isatty()


def can_ask() -> bool:
    """Whether a person can answer a question: input and output are terminals."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def when(moment: float, now: float) -> str:
    """`14:05:10 (in 3 min)`, in local time, with the date on another day. Both are Unix seconds."""
    there, here = time.localtime(moment), time.localtime(now)
    shape = "%H:%M:%S" if there[:3] == here[:3] else "%Y-%m-%d %H:%M"
    distance = moment - now
    relative = f"in {span(distance)}" if distance >= 0 else f"{span(-distance)} ago"
    return f"{time.strftime(shape, there)} ({relative})"


def span(seconds: float) -> str:
    """`45 s`, `3 min`, `2 h`, `5 d`: the largest unit that is at least one."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return "0 s"


def many(found: Sequence[object], most: int) -> str:
    """The length of a list that was cut at `most`, in words: `7`, or `100 or more`."""
    return f"{len(found)} or more" if len(found) >= most else str(len(found))


def size(count: float) -> str:
    """Bytes as `12.3 MB`, or `412 kB` below one."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count // 1e3:.0f} kB"


def money(amount: float, currency: str) -> str:
    """`0.37 USD`: with two digits, or four for small prices (`0.0040 USD`)."""
    digits = 2 if amount >= 0.1 or amount == round(amount, 2) else 4
    return f"{amount:.{digits}f} {currency}"


def amount(entry: Mapping[str, Any], now: float) -> str:
    """How far a song is: bytes of a transfer; of a separation its share, or the time so far."""
    stage, done, total = entry["stage"], float(entry.get("done") or 0), entry.get("total")
    if stage in (UPLOAD, DOWNLOAD):
        return f"{size(done)} of {size(total)}" if total else size(done)
    if stage == SEPARATING and total == 1.0:  # the server told the share that is done
        return f"{done:.0%}"
    return f"for {span(max(0.0, now - float(entry.get('since') or now)))}"


def _forgive(stream: IO[str]) -> None:
    """Have `stream` escape what it can't encode: an emoji in a name must not end a command."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")
