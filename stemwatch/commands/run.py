"""`stemwatch run`: the service."""

from __future__ import annotations

import asyncio

import click

from stemwatch.commands.common import config_option, key_of, settings_of, start_log


@click.command("run")
@config_option
@click.option("--once", is_flag=True, help="Work off what is there, then exit (3: quarantined).")
@click.option("--local", is_flag=True, help="Separate on this machine: no key, preview quality.")
def command(config_file: str | None, once: bool, local: bool) -> int:
    """Watch the inbox and separate what is dropped there, until it is stopped.

    Ctrl-C (or SIGTERM) drains: a submission that may cost is waited for, the rest goes on at the
    next start. A second one stops at once.
    """
    settings = settings_of(config_file, local=local)
    key = key_of(settings)
    start_log(settings, key)
    from stemwatch.app import run_service

    return asyncio.run(run_service(settings, key=key, once=once))
