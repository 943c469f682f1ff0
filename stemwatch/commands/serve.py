"""`stemwatch serve`: the separation server, the same API on your own machine or GPU box."""

from __future__ import annotations

import os
from dataclasses import replace

import click

from stemwatch import config
from stemwatch.config.paths import absolute, state_dir
from stemwatch.errors import ConfigFault
from stemwatch.key import load_key
from stemwatch.local import serve

KEY_VARIABLE = "STEMWATCH_SERVE_KEY"
PORT = 8700


@click.command("serve")
@click.option("--engine", default="spectral", show_default=True, help="Built-in: spectral.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535))
@click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help="Separations at once.")
@click.option("--data-dir", metavar="DIR", help="Jobs and stems; else in the state directory.")
@click.option("--key-file", metavar="FILE", help=f"The key to ask for; else ${KEY_VARIABLE}.")
@click.option("--strict-limit", is_flag=True, help="Answer 429 above --jobs, instead of queueing.")
@click.option("--keep-hours", default=serve.DAY, show_default=True, help="Results are kept.")
@click.option("--public-url", metavar="URL", help="Base of stem URLs, behind a proxy.")
def command(
    engine: str,
    host: str,
    port: int,
    jobs: int | None,
    data_dir: str | None,
    key_file: str | None,
    strict_limit: bool,
    keep_hours: float,
    public_url: str | None,
) -> int:
    """Serve separations until Ctrl-C; point `api.base_url` of a service at the printed URL.

    Without a key, everybody who reaches the address may use it; on loopback that is nobody else.
    """
    key = _key(key_file)
    return serve.run(
        host,
        port,
        data_dir=_data_dir(data_dir),
        engine=engine,
        jobs=jobs,
        key=key,
        strict_limit=strict_limit,
        keep_hours=keep_hours,
        public_url=public_url,
    )


def _key(key_file: str | None) -> str | None:
    # Out of the environment either way: the engine's processes have no use for it.
    given = os.environ.pop(KEY_VARIABLE, "").strip() or None
    if key_file is None:
        return given
    settings = config.defaults(env=os.environ)
    path = os.path.abspath(key_file)
    api = replace(settings.api, key_file=path)
    try:
        return load_key(replace(settings, api=api), env={}, cwd=os.getcwd())
    except ConfigFault as fault:  # the checks are those of the service's own key file
        told = (one.replace("api.key_file: ", "--key-file: ") for one in fault.faults)
        raise ConfigFault(*told, hint=fault.hint) from None


def _data_dir(given: str | None) -> str:
    if given is not None:
        return os.path.abspath(given)
    path = absolute(os.path.join(state_dir(os.environ), "serve"), base=os.getcwd(), env=os.environ)
    if path is None:
        raise ConfigFault("This account has no home folder.", hint="Give a folder by --data-dir.")
    return path
