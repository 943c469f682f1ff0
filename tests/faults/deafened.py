"""The real service, whose observer dies at SIGUSR1: `python -m tests.faults.deafened FILE`.

Every thread of watchdog ends the way a fault inside it ends it: on an event that can't be read.
The file `deafened` in the current folder says that it happened.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from pathlib import Path

from stemwatch import config, log
from stemwatch.config.api_key import load_key
from stemwatch.inbox.watcher import Watcher
from stemwatch.service.app import run_service


def _deafen() -> None:
    for watcher in (found for found in gc.get_objects() if isinstance(found, Watcher)):
        observer = watcher._observer
        assert observer is not None, "there is no observer to end"
        for emitter in observer.emitters:
            emitter.stop()
        observer.event_queue.put("no event")  # type: ignore[arg-type]
        observer.join(10)
        assert not observer.is_alive(), "the observer lives"
    Path("deafened").touch()


async def _run(path: str) -> int:
    settings = config.load(path, env=os.environ)
    key = load_key(settings, env=os.environ, cwd=os.getcwd())
    log.configure(settings.log.level, settings.log.format, secrets=[key] if key else [])
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _deafen)
    return await run_service(settings, key=key)


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(sys.argv[1])))
