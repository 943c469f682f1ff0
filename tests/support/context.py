"""A working set as the service has it, over a test's own folders, with nothing set going."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stemwatch import config
from stemwatch.config import make_folders
from stemwatch.disks.places import Place
from stemwatch.wiring.working_set import working_set
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import Home


@asynccontextmanager
async def context_of(
    home: Home, *, timing: Timing | None = None, place: Place | None = None
) -> AsyncIterator[Context]:
    """`place`: usually the outbox alone, as `split` has it."""
    settings = config.load(str(home.config), env={})
    make_folders(settings)
    places = {None: place or Place(outbox=settings.folders.outbox)}
    async with working_set(
        settings, key="sk-test", places=places, timing=timing or Timing()
    ) as context:
        yield context
