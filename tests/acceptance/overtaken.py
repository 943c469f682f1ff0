"""The real `run --once`, overtaken by a drop: `python -m tests.acceptance.overtaken FILE SONG`.

When all is worked off, SONG is moved into the inbox, and the service goes on to its verdict once it
has found that file. A scan that meets an original on its way to the archive looks just the same.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from stemwatch import config, log
from stemwatch.config.api_key import load_key
from stemwatch.service.app import Service, run_service


class Overtaken(Service):
    song: Path

    async def _worked_off(self) -> None:
        await super()._worked_off()
        self.song.rename(Path(self.settings.folders.inbox) / self.song.name)
        while self.inboxes.looked:  # noqa: ASYNC110 (nothing rings at that)
            await asyncio.sleep(0.01)


async def _run(path: str) -> int:
    settings = config.load(path, env=os.environ)
    key = load_key(settings, env=os.environ, cwd=os.getcwd())
    log.configure(settings.log.level, settings.log.format, secrets=[key] if key else [])
    return await run_service(settings, key=key, once=True)


if __name__ == "__main__":
    Overtaken.song = Path(sys.argv[2])
    sys.modules["stemwatch.service.app"].Service = Overtaken  # type: ignore[attr-defined]
    sys.exit(asyncio.run(_run(sys.argv[1])))
