"""The real service with its waiting times scaled: `python -m tests.acceptance.scaled 0.02 FILE`.

Backoffs, pauses and deadlines are minutes in life; a test waits for them at a fraction.
`NAME=SECONDS` after it sets one field of `Timing` by itself, such as `retention=2`. `links=SECONDS`
is how long a folder's disk may take to tell where its symbolic links lead; usually `disk_answer`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

from stemwatch import config, log
from stemwatch.config.api_key import load_key
from stemwatch.service.app import run_service
from stemwatch.service.leave import then_leave
from stemwatch.workers.pacing.timing import Timing


def main() -> int:
    factor, path = float(sys.argv[1]), sys.argv[2]
    single = (argument.split("=") for argument in sys.argv[3:] if "=" in argument)
    seconds = {name: float(value) for name, value in single}
    links = seconds.pop("links", None)
    timing = replace(Timing().scaled(factor), **seconds)
    patience = timing.disk_answer if links is None else links
    settings = config.load(path, env=os.environ, patience=patience)
    key = load_key(settings, env=os.environ, cwd=os.getcwd())
    log.configure(settings.log.level, settings.log.format, secrets=[key] if key else [])
    once = "--once" in sys.argv[3:]
    return asyncio.run(then_leave(run_service(settings, key=key, once=once, timing=timing)))


if __name__ == "__main__":
    sys.exit(main())
