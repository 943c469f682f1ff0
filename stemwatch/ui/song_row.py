"""One song under way as one row: its name, its stage, a bar and an amount, in any width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from stemwatch.log import redacted
from stemwatch.ui import text
from stemwatch.workers.progress import (
    DELIVERING,
    DOWNLOAD,
    PREPARING,
    SEPARATING,
    UNPACKING,
    UPLOAD,
)

_STYLES = {
    PREPARING: "blue",
    UPLOAD: "green",
    SEPARATING: "magenta",
    DOWNLOAD: "cyan",
    UNPACKING: "cyan",
    DELIVERING: "yellow",
}
_STAGE = 10  # cells of the longest stage's name
_WIDE = 70  # cells: a terminal of this width has room for "12.3 MB of 45.6 MB"
_AMOUNT, _SHORT_AMOUNT = 20, 10
_SHORTEST_BAR, _LONGEST_BAR, _LONGEST_NAME = 6, 40, 72
_FULL = 0.99  # the most that is shown of a separation, whose end is only estimated


def row(
    name: str, stage: str, share: float | None, amount: str, width: int, *, unicode: bool = True
) -> Text:
    """A row of at most `width` cells. `share` of the bar is filled; None: it is not known."""
    amount_cells = _AMOUNT if width >= _WIDE else _SHORT_AMOUNT
    bar_cells = min(max(_SHORTEST_BAR, width // 6), _LONGEST_BAR)
    rest = width - _STAGE - bar_cells - amount_cells - 3  # three gaps between the four parts
    name_cells = min(max(1, rest), _LONGEST_NAME)
    shown = cut(redacted(name), name_cells, unicode=unicode)
    gap = " " * (name_cells - cell_len(shown))
    line = Text(f"{shown}{gap} ", no_wrap=True, overflow="crop")
    line.append(f"{stage:<{_STAGE}} ", style=_STYLES.get(stage, ""))
    line.append(_bar(share, bar_cells, unicode=unicode), style=_STYLES.get(stage, ""))
    line.append(f" {cut(amount, amount_cells, unicode=unicode):>{amount_cells}}")
    return line


def of(entry: Mapping[str, Any], width: int, now: float, *, unicode: bool = True) -> Text:
    """The row of `entry`, which has the fields of `progress.Running`; its `name` may be a path.

    `now` is in Unix seconds, `width` in cells.
    """
    part = share(entry, now)
    amount = text.amount(entry, now)
    if width < _WIDE and part is not None and entry["stage"] != SEPARATING:
        amount = f"{part:.0%}"
    return row(str(entry["name"]), str(entry["stage"]), part, amount, width, unicode=unicode)


def share(entry: Mapping[str, Any], now: float) -> float | None:
    """The share of its stage that is over, 0 to 1; None: it is not known.

    The length of a separation is an estimate, so its share stays below 1, however late it is.
    """
    total, done = float(entry.get("total") or 0.0), float(entry.get("done") or 0.0)
    if not total:
        return None
    if entry["stage"] != SEPARATING:
        return min(1.0, done / total)
    if total != 1.0:  # an estimate, not a share that the server told
        done = max(done, now - float(entry.get("since") or now))
    return min(_FULL, max(0.0, done / total))


def cut(name: str, cells: int, *, unicode: bool = True) -> str:
    """`name` in at most `cells` cells, with its middle left out: two names often differ at the end.

    Wide characters (Chinese, Japanese, emoji) take two cells.
    """
    if cell_len(name) <= cells:
        return name
    mark = "…" if unicode else "~"
    if cells <= 1:
        return mark[:cells]
    behind = (cells - 1) // 2
    return _begin(name, cells - 1 - behind) + mark + _end(name, behind)


def _begin(name: str, cells: int) -> str:
    size = min(len(name), cells)  # only combining characters are narrower than one cell
    while size < len(name) and cell_len(name[: size + 1]) <= cells:
        size += 1
    while cell_len(name[:size]) > cells:
        size -= 1
    return name[:size]


def _end(name: str, cells: int) -> str:
    start = len(name) - min(len(name), cells)
    while start > 0 and cell_len(name[start - 1 :]) <= cells:
        start -= 1
    while cell_len(name[start:]) > cells:
        start += 1
    return name[start:]


def _bar(share: float | None, cells: int, *, unicode: bool) -> str:
    full, empty = ("█", "░") if unicode else ("#", ".")
    done = 0 if share is None else int(share * cells + 1e-9)
    return full * done + empty * (cells - done)
