"""`stemwatch worker`: separates what the front ends of a cluster have queued."""

from __future__ import annotations

import os

import click

from stemwatch.commands.cluster import queue_url
from stemwatch.errors import ConfigFault
from stemwatch.extras import CLUSTER, LOCAL
from stemwatch.server.options import Options

_BEATS = 4  # heartbeats, at the least, in the time after which a worker is taken as gone


@click.command("worker")
@click.option("--queue-url-file", metavar="FILE",
              help="The database's URL; else $STEMWATCH_QUEUE_URL.")  # fmt: skip
@click.option("--data-dir", metavar="DIR", required=True,
              help="The folder that all machines share.")  # fmt: skip
@click.option("--engine", default="spectral", show_default=True,
              help="spectral, spleeter, htdemucs, htdemucs_6s.")  # fmt: skip
@click.option("--device", default="auto", show_default=True,
              help="Of a neural engine: cpu, cuda, cuda:1.")  # fmt: skip
@click.option("--model-dir", metavar="DIR", help="A neural engine's weights: `stemwatch models`.")
@click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help="Separations at once.")
@click.option("--name", metavar="NAME", help="In `queue status`; else host and process.")
@click.option("--heartbeat", default=10.0, show_default=True, metavar="SECONDS",
              type=click.FloatRange(0.2, 600), help="Between two signs of life.")  # fmt: skip
@click.option("--stall", default=60.0, show_default=True, metavar="SECONDS",
              type=click.FloatRange(1, 3600),
              help="Without one, its songs go to others.")  # fmt: skip
def command(
    queue_url_file: str | None,
    data_dir: str,
    engine: str,
    device: str,
    model_dir: str | None,
    jobs: int | None,
    name: str | None,
    heartbeat: float,
    stall: float,
) -> int:
    """Separate songs that `stemwatch serve --queue-url-file` has queued, until Ctrl-C or SIGTERM.

    Then what is being made goes to another worker at once; a machine that just dies gives it up
    after --stall. Start as many workers as you like, and end them when you like.
    """
    if stall < _BEATS * heartbeat:
        raise ConfigFault(
            f"--stall {stall:g} is less than {_BEATS} times --heartbeat {heartbeat:g}.",
            hint="A worker that lives would be taken as gone.",
        )
    CLUSTER.require()
    LOCAL.require()
    from stemwatch.server.cluster import working

    url, place = queue_url.required(queue_url_file), queue_url.place_of(queue_url_file)
    settings = working.Working(url, place, name, heartbeat, stall)
    options = Options(
        data_dir=os.path.abspath(data_dir),
        engine=engine,
        device=device,
        model_dir=model_dir,
        jobs=jobs,
    )
    return working.run(options, settings)
