"""`stemwatch run`: the service, which watches the inbox until it is stopped."""

from __future__ import annotations

import asyncio
import os

import click

from stemwatch import config
from stemwatch.commands.common import config_option, key_of, settings_of, start_log
from stemwatch.config import Settings
from stemwatch.log import log
from stemwatch.service.leave import then_leave


@click.command("run")
@config_option
@click.option("--once", is_flag=True, help="Work off what is there, then exit (3: look at status).")
@click.option("--local", is_flag=True, help="Separate on this machine: no key, preview quality.")
def command(config_file: str | None, once: bool, local: bool) -> int:
    """Watch the inbox and separate what is dropped there, until it is stopped.

    Ctrl-C (or SIGTERM) drains: a submission that may cost is waited for, the rest goes on at the
    next start. A second one stops at once. With --once the exit code is 1 if anything is left.

    SIGHUP (`systemctl reload`) reads the configuration again; a faulty one is reported, and the old
    one stays. In force at once: separation, tags, presets, outbox, prepare, schedule, budget, log,
    watch (but its mode), and of api max_concurrent, requests_per_minute, poll_interval and
    job_deadline. Folders, state_dir, the rest of api, the key, web, notify and hooks need a
    restart; the log says so where they changed.
    """
    settings = settings_of(config_file, local=local)
    key = key_of(settings)
    start_log(settings, key)
    from stemwatch.service.app import run_service

    def read() -> Settings:
        """Read the same configuration file again."""
        found = config.load(settings.source or "", env=os.environ, local=local)
        if key_of(found) != key:
            log.warning("config.needs_restart", keys=["the API key"], hint="Restart it for this.")
        return found

    return asyncio.run(then_leave(run_service(settings, key=key, once=once, read=read)))
