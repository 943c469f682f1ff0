"""What a start clears from an outbox's staging: nothing that somebody may still want."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from stemwatch.job import JobState
from stemwatch.service.upkeep import old_staging
from tests.acceptance.harness import Home
from tests.support.context import context_of
from tests.support.journal import new_job


def test_only_what_is_old_and_of_no_open_job_is_cleared(tmp_path: Path) -> None:
    """By a clock that went ahead, all that there is seems to be old.

    A separated job may have its only stems there: its disk was full, and the server forgot them.
    """

    async def main() -> set[str]:
        async with context_of(Home(tmp_path, "http://127.0.0.1:9/v1")) as ctx:
            outbox = ctx.places[None].outbox
            jobs = [
                await ctx.journal.add(new_job(n, state=state, outbox=outbox))
                for n, state in enumerate(JobState)
            ]
            hidden = Path(outbox, ".stemwatch")
            names = {f"{job.id}-abc": str(job.state) for job in jobs}
            names |= {"4711-abc": "unknown", f"{'9' * 90}-abc": "odd", "young-abc": "young"}
            for token, name in names.items():
                (hidden / token).mkdir(parents=True)
                (hidden / token / "vocals.wav").write_bytes(b"paid for")
                if name != "young":
                    os.utime(hidden / token, (0, 0))
            await old_staging.clear(ctx, ctx.places[None])
            return {names[path.name] for path in hidden.iterdir()}

    kept = asyncio.run(main())
    assert kept == {"young", *map(str, JobState)} - {"done", "gone"}
