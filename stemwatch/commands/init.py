"""`stemwatch init`: writes a commented configuration, and the folders that it names."""

from __future__ import annotations

import os
import shlex

import click

from stemwatch import config
from stemwatch.config import Settings
from stemwatch.config.api_key import NAME
from stemwatch.operations import systemd_commands
from stemwatch.ui import text

FILE = "stemwatch.yaml"


@click.command("init")
@click.argument("path", required=False, type=click.Path())
@click.option("--folders", metavar="DIR", help="Inbox, outbox ... in DIR; else in ~/stemwatch.")
@click.option("--systemd", is_flag=True, help="Only print what sets up a service on this machine.")
@click.option("--user", is_flag=True, help="With --systemd: a service of this account, no root.")
def command(path: str | None, folders: str | None, systemd: bool, user: bool) -> int:
    """Write a commented configuration to PATH (default: ./stemwatch.yaml) and make its folders.

    Asks nothing. A file that exists is never touched: exit code 78.
    """
    if user and not systemd:
        raise click.UsageError("--user goes with --systemd")
    if systemd:
        _refuse_beside_systemd(path, folders)
        machine = systemd_commands.this_machine()
        home = os.path.expanduser("~")
        for line in (
            systemd_commands.for_user(machine, home)
            if user
            else systemd_commands.for_system(machine)
        ):
            text.say(line)
        return 0
    path = path or FILE
    if os.path.isdir(path):
        path = os.path.join(path, FILE)
    settings = _write(path, folders)
    here = os.path.abspath(path) == os.path.abspath(FILE)
    option = "" if here else f" -c {shlex.quote(path)}"
    text.say(f"Written: {path}, with every key explained. Next:")
    text.say(f"1. Set ${NAME} (or api.key_file), or `api.base_url: local` to do without a key.")
    text.say(f"2. `stemwatch check{option}` finds what is not right yet.")
    text.say(f"3. `stemwatch run{option}`, then drop songs into {settings.folders.inbox}")
    text.say("A page to drop them on: set web.listen and web.page in that file.")
    return 0


def _refuse_beside_systemd(path: str | None, folders: str | None) -> None:
    """Raise UsageError for arguments that would have no effect beside --systemd.

    The printed commands write a configuration of their own.
    """
    given = [name for name, value in (("PATH", path), ("--folders", folders)) if value is not None]
    if given:
        raise click.UsageError(
            f"{' and '.join(given)} can't go with --systemd, which only prints commands."
        )


def _write(path: str, folders: str | None) -> Settings:
    """Write the configuration and make its folders; if that fails, remove the file again.

    The next try would refuse to replace a file that was left behind.
    """
    config.write_example(path, folders)
    try:
        settings = config.load(path, env=os.environ)
        config.make_folders(settings, inbox=True, state=False)
    except BaseException:
        os.unlink(path)
        raise
    return settings
