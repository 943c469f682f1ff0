"""The real service, telling how many tasks its loop holds: `... counted FILE PEAK`.

PEAK is a file that always holds the largest number of asyncio tasks seen since it was last deleted.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from stemwatch import config, log
from stemwatch.config.api_key import load_key
from stemwatch.service.app import run_service


async def _count(peak: Path) -> None:
    most = 0
    while True:
        if not peak.exists():
            most = 0
        now = len(asyncio.all_tasks())
        if now > most:
            most = now
            peak.write_text(str(most))
        await asyncio.sleep(0.05)


async def _run(path: str, peak: Path) -> int:
    settings = config.load(path, env=os.environ)
    key = load_key(settings, env=os.environ, cwd=os.getcwd())
    log.configure(settings.log.level, settings.log.format, secrets=[key] if key else [])
    counting = asyncio.create_task(_count(peak))
    try:
        return await run_service(settings, key=key)
    finally:
        counting.cancel()


if __name__ == "__main__":
    sys.exit(asyncio.run(_run(sys.argv[1], Path(sys.argv[2]))))
