"""What waits for a disk is due at once when it is well; nothing else is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from stemwatch.job import JobState
from stemwatch.journal.journal import Journal
from tests.support.journal import new_job

WAITING: list[tuple[dict[str, Any], bool]] = [
    ({"state": JobState.QUEUED, "code": "disk"}, True),
    ({"state": JobState.SEPARATED, "code": "disk"}, True),
    ({"state": JobState.DELIVERED}, True),
    ({"state": JobState.QUARANTINED, "code": "not_audio"}, True),
    ({"state": JobState.QUEUED, "code": "rate_limited"}, False),
    ({"state": JobState.SEPARATED, "code": "network"}, False),
    ({"state": JobState.QUEUED, "code": "internal"}, False),
    ({"state": JobState.QUEUED, "code": "disk", "owner": "split"}, False),
]


@pytest.mark.parametrize("of_these", [True, False], ids=["by id", "all"])
def test_only_what_waits_for_a_disk_is_woken(tmp_path: Path, of_these: bool) -> None:
    """A Retry-After is kept, and another owner's songs are its own."""

    async def scenario() -> None:
        journal = Journal(str(tmp_path / "journal"))
        try:
            jobs = [
                await journal.add(new_job(number, not_before=1e12, **fields))
                for number, (fields, _) in enumerate(WAITING, 1)
            ]
            await journal.wake(None, ["disk"], [job.id for job in jobs] if of_these else None)
            found = [await journal.get(job.id) for job in jobs]
            woken = [job is not None and job.not_before == 0.0 for job in found]
            assert woken == [expected for _, expected in WAITING]
        finally:
            journal.close()

    asyncio.run(scenario())


def test_others_sleep_on(tmp_path: Path) -> None:
    """One folder that is well wakes its own songs."""

    async def scenario() -> None:
        journal = Journal(str(tmp_path / "journal"))
        try:
            one, other = [
                await journal.add(new_job(number, not_before=1e12, code="disk"))
                for number in (1, 2)
            ]
            await journal.wake(None, ["disk"], [one.id])
            found = await journal.get(other.id)
            assert found is not None
            assert found.not_before == 1e12
        finally:
            journal.close()

    asyncio.run(scenario())
