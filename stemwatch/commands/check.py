"""`stemwatch check`: finds every fault at once, and prints each with what mends it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace

import click

from stemwatch.commands.common import config_option, readable_of
from stemwatch.errors import ConfigFault
from stemwatch.operations.check.everything import check
from stemwatch.operations.check.finding import FAULT, OK, WARNING, Finding
from stemwatch.operations.words import counted
from stemwatch.ui import text

_CONFIGURATION = 78
_MARKS = {OK: ("✓", "ok   "), WARNING: ("!", "warn "), FAULT: ("✗", "FAULT")}


@click.command("check")
@config_option
@click.option("--local", is_flag=True, help="For `run --local`: no key and no API are asked.")
@click.option("--notify", is_flag=True, help="Send a test message to everybody in `notify`.")
def command(config_file: str | None, local: bool, notify: bool) -> int:
    """Look at everything that the service needs, and say what is wrong and how to mend it.

    Configuration, folders, audio libraries (with a second of made sound), key (never shown), API,
    clock, inotify, disks, journal, notices and hooks. Exits 78 on a fault, 0 otherwise. Costs
    nothing and changes nothing. Where a key is faulty, what does not depend on it is looked at all
    the same.
    """
    try:
        reading = readable_of(config_file, local=local)
    except ConfigFault as fault:
        _tell(_configuration(fault))
        return _CONFIGURATION
    settings, wrong = reading.settings, reading.fault
    found = [Finding(OK, f"configuration: {settings.source}")]
    if wrong is not None:
        found = _configuration(wrong)
    _tell(found)
    more = asyncio.run(
        check(settings, os.environ, os.getcwd(), notify=notify, doubtful=reading.doubtful)
    )
    _tell(more)
    faults = sum(finding.level == FAULT for finding in (*found, *more))
    if faults:
        text.say(f"{counted(faults, 'fault')}.")
    return _CONFIGURATION if faults else 0


def _configuration(fault: ConfigFault) -> list[Finding]:
    """A finding for each fault of the configuration; the last one has the hint for all."""
    *first, last = (Finding(FAULT, sentence) for sentence in fault.faults)
    return [*first, replace(last, hint=fault.hint)]


def _tell(findings: Sequence[Finding]) -> None:
    for finding in findings:
        mark = _MARKS[finding.level][0 if text.speaks_unicode() else 1]
        text.say(f"{mark} {finding.text}")
        if finding.hint:
            text.say(f"  {finding.hint}")
