"""`stemwatch pause`: submit nothing new for now."""

from __future__ import annotations

import asyncio
import time

import click

from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.journal.pausing import HINT, Order
from stemwatch.operations.control import holding
from stemwatch.operations.status import is_running
from stemwatch.ui import text


@click.command("pause")
@click.option(
    "--until", metavar="TIME", help="When it ends by itself: 22:00, 2h, '2026-11-29 22:00'."
)
@config_option
def command(until: str | None, config_file: str | None) -> int:
    """Submit nothing new, until `stemwatch resume` or --until.

    Songs are taken in meanwhile, and what was submitted before is delivered. Works beside a running
    service and without one, and outlives its restarts. `split` is not held back. Given again, it
    replaces the time of the pause before.
    """
    settings, now = settings_or_defaults(config_file), time.time()
    try:
        end = None if until is None else holding.end_of(until, now)
    except ValueError as fault:
        raise click.BadParameter(f"{fault}.", param_hint="--until") from None
    order = Order(by=holding.person(), via="command", since=now, until=end)
    asyncio.run(holding.pause(settings, order))
    words = order.words(now)
    text.say(f"{words[:1].upper()}{words[1:]} {HINT}")
    if end is not None:
        text.say(f"It ends by itself: {text.when(end, now)}.")
    if not is_running(settings.state_dir):
        text.say("The service is not running: the pause holds when `stemwatch run` is started.")
    return 0
