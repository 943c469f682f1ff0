"""`stemwatch history`: what was delivered, when, where to, and at what cost."""

from __future__ import annotations

import asyncio
import math
import time

import click

from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.job import JobState
from stemwatch.operations.history import history, moment
from stemwatch.ui import plain, text


@click.command("history")
@click.option("-n", "most", default=20, show_default=True, type=click.IntRange(1, 1_000_000),
              metavar="N", help="At most so many songs.")  # fmt: skip
@click.option("--since", metavar="TIME", help="Not before: 12h, 7d, today, 2026-11-29 ...")
@click.option("--quarantined", is_flag=True, help="What went to quarantine instead, and why.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, for other programs.")
@config_option
def command(
    most: int, since: str | None, quarantined: bool, as_json: bool, config_file: str | None
) -> int:
    """List the songs that were delivered, newest first: tempo, key, minutes, cost and folder.

    Only looks, and works whether the service runs or not. Songs of `split` are listed too. What
    was read back from sidecars, after a journal was lost, has no cost.
    """
    now = time.time()
    try:
        begin = 0.0 if since is None else moment(since, now)
    except ValueError as fault:
        raise click.BadParameter(f"{fault}.", param_hint="--since") from None
    settings = settings_or_defaults(config_file)
    kind = JobState.QUARANTINED if quarantined else JobState.DELIVERED
    document = asyncio.run(history(settings, now, kind=kind, since=begin, most=most))
    if as_json:
        plain.say_json(document)
    elif document["songs"]:
        _print(document)
    else:
        what = "went to quarantine" if quarantined else "was delivered"
        text.say(f"Nothing {what} {'yet' if since is None else f'since {since}'}.")
    return 0


def _print(document: plain.Document) -> None:
    from stemwatch.ui import past_songs

    console = text.console()
    width = console.width if text.on_terminal() else math.inf  # one line per song, for `grep`
    for line in past_songs.lines(document, width):
        console.print(line, soft_wrap=True)
