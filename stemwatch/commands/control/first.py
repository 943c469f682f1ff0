"""`stemwatch first`: this waiting song goes next."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import click

from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.config import Settings
from stemwatch.journal.journal import Journal
from stemwatch.journal.schema import JOURNAL
from stemwatch.operations.control.going_first import look_up, put_first, where
from stemwatch.ui import text

_FAILED, _USAGE = 1, 2


@click.command("first")
@click.argument("names", nargs=-1, required=True, type=click.UNPROCESSED, metavar="NAME|ID...")
@config_option
def command(names: tuple[str, ...], config_file: str | None) -> int:
    """Submit these waiting songs next, in this order.

    NAME is a file's name or its path below the inbox; ID is what this command lists where a name
    means several. What is being uploaded already goes on. Called again, the songs named then go
    before those of the earlier call. Works whether the service runs or not. Exits 1 if a song does
    not wait, 2 if a name means several; then nothing is changed.
    """
    return asyncio.run(_first(settings_or_defaults(config_file), names))


async def _first(settings: Settings, names: Sequence[str]) -> int:
    path = os.path.join(settings.state_dir, JOURNAL)
    if not os.path.exists(path):
        text.say("No journal yet: nothing has been dropped so far.", err=True)
        return _FAILED
    journal = Journal(path)
    try:
        found = await look_up(journal, names, os.getcwd())
        for name, jobs in found.several.items():
            text.say(f"{name} means several; name one by its id:", err=True)
            for job in jobs:
                text.say(f"  {job.id}  {where(job)}", err=True)
        for words in found.unknown.values():
            text.say(words, err=True)
        if found.several or found.unknown:
            return _USAGE if found.several else _FAILED
        songs = list(found.songs.values())
        first = await put_first(journal, settings, songs)
    finally:
        journal.close()
    for job in songs:
        told = "goes next." if job in first else "was submitted just now."
        text.say(f"{job.id} {job.name} {told}")
    return 0
