"""Shared by the commands: finding the configuration and the key, starting the log."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from stemwatch import config, log
from stemwatch.config import Settings, api_key

Function = TypeVar("Function", bound=Callable[..., Any])


def config_option(function: Function) -> Function:
    """Add the option `-c FILE`, whose help names the default places."""
    return click.option(
        "-c",
        "--config",
        "config_file",
        metavar="FILE",
        help="Configuration; else $STEMWATCH_CONFIG, ./stemwatch.yaml, "
        "$XDG_CONFIG_HOME/stemwatch/config.yaml, /etc/stemwatch/config.yaml.",
    )(function)


def settings_of(config_file: str | None, *, local: bool = False) -> Settings:
    """The configuration that is found. Raises ConfigFault if it is faulty or there is none."""
    path = config.find(config_file, os.environ, os.getcwd())
    if path is None:
        raise config.not_found(os.environ, os.getcwd())
    return config.load(path, env=os.environ, local=local)


def readable_of(config_file: str | None, *, local: bool = False) -> config.Reading:
    """The readable part of the configuration that is found. Raises ConfigFault if there is none."""
    path = config.find(config_file, os.environ, os.getcwd())
    if path is None:
        raise config.not_found(os.environ, os.getcwd())
    return config.load_partly(path, env=os.environ, local=local)


def settings_or_defaults(config_file: str | None, *, local: bool = False) -> Settings:
    """The configuration that is found, or the defaults. Raises ConfigFault if it is faulty."""
    path = config.find(config_file, os.environ, os.getcwd())
    if path is None:
        return config.defaults(env=os.environ, local=local)
    return config.load(path, env=os.environ, local=local)


def key_of(settings: Settings) -> str | None:
    """The API key, or None where this machine separates. Raises ConfigFault if it is missing."""
    found = api_key.load_key(settings, env=os.environ, cwd=os.getcwd())
    if found is None and not settings.local:
        raise api_key.no_key_fault()
    return found


def start_log(settings: Settings, secret: str | None, *, level: str | None = None) -> None:
    """Log to standard error as configured, with `secret` removed from all lines."""
    secrets = [secret] if secret else []
    log.configure(level or settings.log.level, settings.log.format, secrets=secrets)
    log.report_crashes()
