"""What a start makes of what an earlier run left: who is due at once, and whose room is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stemwatch.job import JobState
from stemwatch.workers.pool.turns import Pool
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job

WORD_OF_A_SERVER = ["rate_limited", "storage_busy", "busy", "unreachable", "job_missing"]
MENDED = ["internal", "audio_helper", "disk", "room", "blocked", "unreadable"]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SEPARATED])
def test_what_a_person_may_have_mended_is_tried_at_once(tmp_path: Path, state: JobState) -> None:
    """An upgrade and a restart: its songs must not wait for five minutes more."""

    async def scenario() -> None:
        async with context_of(Home(tmp_path, "http://127.0.0.1:9/v1")) as context:
            later = context.now() + 300.0
            codes = [*MENDED, *WORD_OF_A_SERVER]
            for number, code in enumerate(codes, 1):
                job = new_job(number, state=state, code=code, not_before=later, remote_id="job_1")
                await context.journal.add(job)
            await Pool(context).recover()
            found = await context.journal.in_states([state])
            assert [job.code for job in found if job.not_before == 0.0] == MENDED

    asyncio.run(scenario())
