"""Who has the next slot, where `first` named a song that others are before in the line."""

from __future__ import annotations

import asyncio

from stemwatch.workers.pacing.slots import Slots


def test_what_is_named_first_passes_the_line_but_not_one_named_before() -> None:
    async def scenario() -> list[int]:
        slots = Slots(1, 60.0, lambda: 0.0)
        got: list[int] = []

        async def wait(job_id: int, *, early: bool = False) -> None:
            await slots.acquire(job_id, early=early)
            got.append(job_id)
            slots.release(job_id)

        slots.hold(0)
        waiting = []
        for job_id, early in ((1, False), (2, True), (3, False), (4, True)):
            waiting.append(asyncio.create_task(wait(job_id, early=early)))
            await asyncio.sleep(0)
        slots.release(0)
        await asyncio.gather(*waiting)
        return got

    assert asyncio.run(scenario()) == [2, 4, 1, 3]
