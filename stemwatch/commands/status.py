"""`stemwatch status`: what waits, runs, is paused or in quarantine, and what was spent."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator

import click

from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.config import Settings
from stemwatch.operations.status import Document, standing
from stemwatch.ui import plain, text

_EVERY = 1.0  # seconds between two looks
_INBOXES = 5  # every so many looks, the inboxes are scanned as well


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, for other programs.")
@click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Name the songs that wait, and each file that is not taken.",
)
@config_option
def command(as_json: bool, watch: bool, verbose: bool, config_file: str | None) -> int:
    """Show the queue, running jobs, pauses and why, the spend, and what is in quarantine.

    Only looks: nothing is made, locked or changed, and it works whether the service runs or not.
    With --watch: a live view on a terminal, otherwise a line for each change.
    """
    if watch and verbose:
        raise click.UsageError("A watched view has no room for --verbose: leave out one.")
    settings = settings_or_defaults(config_file)
    if watch:
        return _watch(settings, as_json=as_json)
    document = _look(settings)
    if as_json:
        plain.say_json(document)
    else:
        _print(document, names=verbose)
    return 0


def _look(settings: Settings, earlier: Document | None = None) -> Document:
    return asyncio.run(standing(settings, time.time(), earlier))


def _looks(settings: Settings) -> Iterator[Document]:
    """Yield a document every second, without end."""
    document: Document | None = None
    for number in itertools.count():
        document = _look(settings, document if number % _INBOXES else None)
        yield document
        time.sleep(_EVERY)


def _print(document: Document, *, names: bool) -> None:
    from stemwatch.ui import standing as view

    console = text.console()
    room = view.Room(width=console.width, unicode=text.speaks_unicode(), names=names)
    for line in view.lines(document, time.time(), room):
        console.print(line, soft_wrap=True)


def _watch(settings: Settings, *, as_json: bool) -> int:
    try:
        if text.on_terminal() and not as_json:
            _live(settings)
        else:
            _changes(settings, as_json=as_json)
    except KeyboardInterrupt:
        pass  # Ctrl-C is the way to end it
    return 0


def _live(settings: Settings) -> None:
    from rich.console import Group
    from rich.live import Live

    from stemwatch.ui import standing as view

    console, unicode = text.console(), text.speaks_unicode()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        for document in _looks(settings):
            found = view.fitted(document, time.time(), console, unicode=unicode)
            live.update(Group(*found), refresh=True)


def _changes(settings: Settings, *, as_json: bool) -> None:
    seen = ""
    for document in _looks(settings):
        now = plain.brief(document)
        if now != seen:
            seen = now
            clock = time.strftime("%H:%M:%S")
            text.say(plain.as_json(document, indent=None) if as_json else f"{clock} {now}")
