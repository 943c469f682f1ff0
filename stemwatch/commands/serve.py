"""`stemwatch serve`: the separation server, the same API on your own machine or GPU box."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import click

from stemwatch.commands.cluster import queue_url
from stemwatch.config.api_key import key_in
from stemwatch.config.paths import absolute, state_dir
from stemwatch.errors import ConfigFault
from stemwatch.extras import CLUSTER
from stemwatch.server import main
from stemwatch.server.options import DAY, Options

KEY_VARIABLE = "STEMWATCH_SERVE_KEY"
PORT = 8700
_LONGEST = 87600.0  # hours, which is ten years: no disk lasts longer


def _hours(_context: click.Context, _option: click.Parameter, given: float) -> float:
    if 0.0 < given <= _LONGEST:  # False for nan
        return given
    raise click.BadParameter(f"{given:g} is not above 0 and at most {_LONGEST:g} hours.")


def _base(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    if given is None:
        return None
    try:
        url = urlsplit(given)
        usable = url.scheme in ("http", "https") and url.hostname and (url.port or 1)
    except ValueError:
        usable = False
    if not usable or url.query or url.fragment or not given.isprintable() or " " in given:
        raise click.BadParameter(f"{given} is no URL such as https://stems.example.org")
    return given


@click.command("serve")
@click.option(
    "--engine",
    default="spectral",
    show_default=True,
    help="spectral, spleeter, htdemucs, htdemucs_6s.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535))
@click.option("--device", default="auto", show_default=True,
              help="Of a neural engine: cpu, cuda, cuda:1.")  # fmt: skip
@click.option("--model-dir", metavar="DIR", help="A neural engine's weights: `stemwatch models`.")
@click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help="Separations at once.")
@click.option("--data-dir", metavar="DIR", help="Jobs and stems; else in the state directory.")
@click.option("--key-file", metavar="FILE", help=f"The key to ask for; else ${KEY_VARIABLE}.")
@click.option("--keys-file", metavar="FILE", help="Several keys: a line is NAME SHA256-OF-KEY.")
@click.option("--queue-url-file", metavar="FILE",
              help="Be a front end of the cluster on this database, whose URL is in FILE; else in "
              f"${queue_url.VARIABLE}, which alone makes it one. Workers separate.")  # fmt: skip
@click.option("--strict-limit", is_flag=True, help="Answer 429 above --jobs, instead of queueing.")
@click.option("--keep-hours", default=DAY, show_default=True, callback=_hours,
              help="Results are kept.")  # fmt: skip
@click.option("--public-url", metavar="URL", callback=_base,
              help="Base of the URLs handed out, behind a proxy.")  # fmt: skip
@click.option("--credits", type=click.IntRange(0), metavar="SECONDS",
              help="Audio within twice --keep-hours, then 402.  [default: no limit]")  # fmt: skip
@click.option("--rate-limit", type=click.IntRange(1), metavar="N",
              help="Requests a minute at /api/v1.  [default: no limit]")  # fmt: skip
@click.option("--webhook-secret-file", metavar="FILE", help="Signs calls to a job's webhook_url.")
def command(
    key_file: str | None,
    data_dir: str | None,
    webhook_secret_file: str | None,
    queue_url_file: str | None,
    **given: Any,
) -> int:
    """Serve separations until Ctrl-C; point `api.base_url` of a service at the printed URL.

    Both wires of StemSplit are spoken: `separate` at the printed URL, and `presigned` at the same
    address with /api/v1 in place of /v1. Webhooks are sent to https URLs and to this machine.

    Without a key, everybody who reaches the address may use it; on loopback that is nobody else:
    what a website sends through a browser is refused, and so is a name that is not this machine's.
    """
    # Always taken out of the environment, since the engine's processes must not have it.
    key = os.environ.pop(KEY_VARIABLE, "").strip() or None
    if key_file is not None:
        key = key_in(os.path.abspath(key_file), "--key-file")
    if key_file is not None and given["keys_file"] is not None:
        raise ConfigFault("--key-file and --keys-file are both given.", hint="Leave one out.")
    secret = None
    if webhook_secret_file is not None:
        secret = key_in(
            os.path.abspath(webhook_secret_file), "--webhook-secret-file", "a webhook's secret"
        )
    url = None
    if queue_url_file is not None or os.environ.get(queue_url.VARIABLE, "").strip():
        CLUSTER.require()
        url = queue_url.required(queue_url_file)
        _check_front_end(data_dir, given)
    return main.run(
        Options(
            data_dir=_data_dir(data_dir),
            key=key,
            webhook_secret=secret,
            queue_url=url,
            queue_url_place=queue_url.place_of(queue_url_file),
            **given,
        )
    )


def _check_front_end(data_dir: str | None, given: dict[str, Any]) -> None:
    """Raise ConfigFault for what means nothing, or something else, without an engine here."""
    if data_dir is None:
        raise ConfigFault(
            "A front end of a cluster needs --data-dir: the folder that all machines share."
        )
    if given["strict_limit"] or given["jobs"] is not None:
        raise ConfigFault(
            "--jobs and --strict-limit are not for a front end of a cluster: it makes no stems.",
            hint="Give --jobs to `stemwatch worker`.",
        )


def _data_dir(given: str | None) -> str:
    if given is not None:
        return os.path.abspath(given)
    path = absolute(os.path.join(state_dir(os.environ), "serve"), base=os.getcwd(), env=os.environ)
    if path is None:
        raise ConfigFault("This account has no home folder.", hint="Give a folder by --data-dir.")
    return path
