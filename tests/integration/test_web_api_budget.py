"""`POST /api/remove-vocals` beside the workers: what the song itself takes of the budget."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stemwatch.web.api.api_faults import Fault
from stemwatch.web.api.remove_vocals import RemoveVocals
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job

NOWHERE = "http://127.0.0.1:9/v1"


def call_over(context: object) -> RemoveVocals:
    """The call as the service has it, without its listener."""
    health = SimpleNamespace(context=context, stopping=False)
    live = SimpleNamespace(closing=False)
    anything = cast(Any, None)
    backing = SimpleNamespace(health=health)
    return RemoveVocals(cast(Any, backing), cast(Any, live), anything, anything)


def test_a_song_is_not_refused_for_the_minutes_that_it_took_itself(tmp_path: Path) -> None:
    """The row that the call has read may be older than the minutes that the budget counts."""
    home = Home(tmp_path, NOWHERE)
    home.configure(NOWHERE, budget={"minutes_per_day": 1.5})

    async def asked() -> None:
        async with context_of(home) as context:
            seen = await context.journal.add(new_job(duration=60.0))
            await context.journal.intend(
                seen, idempotency_key="key", minutes=1.0, price=0.1, limits=[]
            )
            await call_over(context)._require_hope(seen)
            other = await context.journal.add(new_job(2, duration=60.0))
            with pytest.raises(Fault, match="minutes_per_day leaves too little"):
                await call_over(context)._require_hope(other)

    asyncio.run(asked())
