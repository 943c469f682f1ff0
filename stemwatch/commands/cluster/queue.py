"""`stemwatch queue`: a cluster's queue for people: its tables, what waits, what failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import click

from stemwatch.commands.cluster import queue_url
from stemwatch.extras import CLUSTER

_URL = click.option("--queue-url-file", metavar="FILE",
                    help="The database's URL; else $STEMWATCH_QUEUE_URL.")  # fmt: skip


@click.group("queue")
def command() -> None:
    """Look after the queue of a cluster: `serve --queue-url-file` and `worker`."""


@command.command("init")
@_URL
@click.option("--new-folder", is_flag=True,
              help="The next one to start says which folder all share.")  # fmt: skip
def init(queue_url_file: str | None, new_folder: bool) -> int:
    """Make the tables; those that are there stay as they are."""
    CLUSTER.require()
    from stemwatch.server.cluster.queue_desk import make_tables

    _on(queue_url_file, lambda one: make_tables(one, new_folder=new_folder), tables=False)
    click.echo("The tables are there: start `stemwatch serve` and `stemwatch worker`.")
    return 0


@command.command("status")
@_URL
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(queue_url_file: str | None, as_json: bool) -> int:
    """What waits and runs, and who works."""
    CLUSTER.require()
    from stemwatch.server.cluster.queue_desk import look

    load = _on(queue_url_file, look)
    if as_json:
        click.echo(json.dumps(asdict(load), indent=1))
        return 0
    first = "" if load.oldest is None else f", the first one for {load.oldest:.0f} s"
    click.echo(f"{load.waiting} wait{first}; {load.running} run on {load.seats} seats")
    for one in load.workers:
        device = f" on {one['device']}" if one["device"] else ""
        short = ", waits for room on the disk" if one.get("no_room") else ""
        click.echo(f"  {one['name']}: {one['engine']}{device}, {one['jobs']} at once{short}")
    if not load.workers:
        click.echo("  no worker: start one with `stemwatch worker`")
    return 0


@command.command("dead")
@_URL
def dead_songs(queue_url_file: str | None) -> int:
    """Songs that failed, and why; `queue retry ID` tries one again."""
    CLUSTER.require()
    from stemwatch.log import printable
    from stemwatch.server.cluster.queue_desk import dead

    for record in _on(queue_url_file, dead):
        click.echo(printable(f"{record.id}  {record.name}: {record.error}"))
    return 0


@command.command("retry")
@_URL
@click.argument("song", metavar="ID")
def retry(queue_url_file: str | None, song: str) -> int:
    """Queue a song again that failed. It costs its owner no more credit."""
    CLUSTER.require()
    from stemwatch.server.cluster.queue_desk import try_again

    record = _on(queue_url_file, lambda database: try_again(database, song))
    click.echo(f"{record.id} waits again.")
    return 0


def _on(file: str | None, do: Callable[[Any], Any], *, tables: bool = True) -> Any:
    from stemwatch.server.cluster.queue_desk import on

    return on(queue_url.required(file), queue_url.place_of(file), do, tables=tables)
