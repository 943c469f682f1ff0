"""`stemwatch resume`: the end of a pause."""

from __future__ import annotations

import asyncio
import time

import click

from stemwatch.commands.common import config_option, settings_or_defaults
from stemwatch.journal.pausing import clock_time
from stemwatch.operations.control import holding
from stemwatch.operations.status import is_running
from stemwatch.ui import text


@click.command("resume")
@config_option
def command(config_file: str | None) -> int:
    """End the pause of `stemwatch pause`: songs that wait are submitted again.

    The hours of `schedule.submit` stay in force.
    """
    settings, now = settings_or_defaults(config_file), time.time()
    order = asyncio.run(holding.resume(settings, now))
    if order is None:
        text.say("There was no pause to end.")
        return 0
    by = f" by {order.by}" if order.by else ""
    text.say(f"The pause{by}, since {clock_time(order.since, now)}, is over.")
    if not is_running(settings.state_dir):
        text.say("The service is not running: songs go on when `stemwatch run` is started.")
    return 0
