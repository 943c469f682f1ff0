"""`stemwatch config`: the value of each key in force, and where it comes from."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from stemwatch import config
from stemwatch.commands.common import config_option
from stemwatch.config import api_key
from stemwatch.errors import ConfigFault
from stemwatch.operations.origins import Value, in_force
from stemwatch.ui import plain, text

SCHEMA = "stemwatch.config/1"
_COMMENT = 48  # the column of the comment, unless the value is longer


@click.command("config")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, for other programs.")
@config_option
def command(as_json: bool, config_file: str | None) -> int:
    """Tell each key's value, and whether a line of the file, another key or a default decides it.

    What is told can be shown to others: URLs of `notify` and arguments of hooks are left out, and
    of the API key only where it is. A running service has what was in force at its start, or at its
    last reload. Exits 78 when the configuration is faulty.
    """
    path = config.find(config_file, os.environ, os.getcwd())
    reading = config.load_partly(path, env=os.environ)
    if reading.fault is not None:
        raise reading.fault
    values = list(in_force(reading, os.environ))
    key = _key(reading.settings)
    if as_json:
        document = {
            "schema": SCHEMA,
            "file": path,
            "keys": {one.key: _entry(one) for one in values},
            "api_key": key,
        }
        plain.say_json(document)
        return 0
    text.say(f"# {path or 'No file was found: all of this is defaults.'}")
    for one in values:
        text.say(_line(one))
    text.say(f"# The API key: {key}")
    return 0


def _entry(one: Value) -> dict[str, Any]:
    return {"value": one.value, "line": one.line, "by": one.by}


def _line(one: Value) -> str:
    """One line, such as `watch.mode: "auto"    # line 12`."""
    shown = f"{one.key}: {json.dumps(one.value, ensure_ascii=False)}"
    return f"{shown:<{_COMMENT}}  # {f'line {one.line}' if one.line is not None else one.by}"


def _key(settings: config.Settings) -> str:
    """Where the API key is; never the key itself."""
    if settings.local:
        return "none is needed, this machine separates"
    try:
        found = api_key.find_key(settings, env=os.environ, cwd=os.getcwd())
    except ConfigFault as fault:
        return f"can't be used. {fault}"
    if found is None:
        return "there is none"
    return f"in {found.place}"
