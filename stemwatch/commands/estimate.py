"""`stemwatch estimate`: minutes and cost of files and folders, before spending anything."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext

import click
from rich.table import Table
from rich.text import Text

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.config import Inbox, Settings
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.log import redacted
from stemwatch.operations.estimating import COSTS, REFUSED, Estimate, Totals, estimates
from stemwatch.operations.words import counted
from stemwatch.ui import text
from stemwatch.wiring.spending import budget_of
from stemwatch.workers.pacing.budget import Allowance


@click.command("estimate")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True), metavar="PATH...")
@click.option("--inbox", "name", metavar="NAME", help="As if dropped there, of several inboxes.")
@config_option
def command(paths: tuple[str, ...], name: str | None, config_file: str | None) -> int:
    """Tell how many minutes and how much money these files and folders would cost.

    Nothing is uploaded. What was separated before with the same settings costs nothing, nor does a
    stem file; what would be refused is named with the reason. In folders, results are left out as
    `split` leaves them. Exits 1 when nothing in PATH can be used.
    """
    settings = settings_or_defaults(config_file)
    chosen = None if name is None else settings.inbox(name)
    if name is not None and chosen is None:
        known = ", ".join(settings.inboxes) or "none: `folders` is the only one"
        raise click.UsageError(f"There is no inbox {name}; there are {known}.")
    return asyncio.run(_estimate(settings, [os.path.abspath(path) for path in paths], chosen))


async def _estimate(settings: Settings, paths: Sequence[str], chosen: Inbox | None) -> int:
    totals = Totals()
    rows: list[Estimate] = []
    live = text.on_terminal()
    journal = ReadOnlyJournal(os.path.join(settings.state_dir, JOURNAL))
    audio = AudioHelper()
    console = text.console()
    try:
        with console.status("Looking at the files") if live else nullcontext():
            async for one in estimates(settings, journal, audio, paths, chosen):
                totals.add(one)
                if live:
                    rows.append(one)
                else:
                    text.say(_line(one, settings))
        found = chosen or _inbox_of_all(settings, paths)
        name = None if found is None else found.name
        left = await budget_of(settings).left(journal, time.time(), name)
    finally:
        await audio.close()
        journal.close()
    if live and rows:
        console.print(_table(rows, settings))
    for line in _sums(totals, settings, left):
        text.say(line)
    return 0 if totals.files > totals.refused else 1


def _inbox_of_all(settings: Settings, paths: Sequence[str]) -> Inbox | None:
    """The inbox in which all paths lie, whose own budget counts as well; None: there is none."""
    names = {found and found[0].name for found in map(settings.inbox_of, paths)}
    return settings.inbox(names.pop()) if len(names) == 1 else None


def _line(one: Estimate, settings: Settings) -> str:
    """One aligned line for people and `awk`: `3.65 min  0.37 USD  /music/song.mp3  (why)`."""
    why = f"  ({one.why})" if one.why else ""
    return f"{_minutes(one):>8} min  {_price(one, settings):>12}  {one.path}{why}"


def _table(rows: Sequence[Estimate], settings: Settings) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("File", overflow="fold")
    table.add_column("Minutes", justify="right")
    table.add_column("Price", justify="right")
    table.add_column("")
    for one in rows:
        style = {REFUSED: "red", COSTS: ""}.get(one.verdict, "green")
        cells = (one.path, _minutes(one), _price(one, settings), one.why)
        table.add_row(*(Text(redacted(cell), style=style) for cell in cells))
    return table


def _minutes(one: Estimate) -> str:
    return "-" if one.seconds is None else f"{one.seconds / 60:.2f}"


def _price(one: Estimate, settings: Settings) -> str:
    if one.verdict == REFUSED:
        return "refused"
    if one.verdict != COSTS:
        return "free"
    budget = settings.budget
    return text.money((one.seconds or 0.0) / 60 * budget.price_per_minute, budget.currency)


def _sums(totals: Totals, settings: Settings, left: Allowance) -> list[str]:
    if not totals.files:
        return ["No songs there."]
    minutes, budget = totals.paid / 60, settings.budget
    price = text.money(minutes * budget.price_per_minute, budget.currency)
    each = text.money(budget.price_per_minute, budget.currency)
    lines = [
        f"{counted(totals.files, 'file')}, {totals.refused} refused, {totals.free} free; "
        f"{totals.seconds / 60:.2f} minutes of audio in all.",
        f"To pay: {minutes:.2f} minutes, {price} (at {each} a minute).",
    ]
    if totals.upload:
        flacs = f"; {counted(totals.as_flac, 'file')} as FLAC" if totals.as_flac else ""
        lines.append(f"To upload: about {text.size(totals.upload)}{flacs} (prepare.upload).")
    if left.minutes is not None:
        until = "" if left.until is None else f" until {text.when(left.until, time.time())}"
        over = ": the rest waits in the inbox" if minutes > left.minutes else ""
        lines.append(f"Budget left: {left.minutes:.2f} minutes ({left.key}){until}{over}.")
    return lines
