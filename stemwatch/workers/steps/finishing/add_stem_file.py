"""The stem file of a song (`separation.stem_file`): made from its staged stems, or copied.

It is a convenience beside stems that are paid for: what keeps it from being made is told, and they
are delivered without it. Only a fault of the outbox's disk, which concerns them too, holds them up.
"""

from __future__ import annotations

import asyncio

from stemwatch.audio.results import StemTag
from stemwatch.disks import durable
from stemwatch.errors import Reject, RetryLater
from stemwatch.job import STEMS, Job
from stemwatch.log import log
from stemwatch.outbox import earlier, naming
from stemwatch.outbox.staging import Staging, drop
from stemwatch.workers.context import Context
from stemwatch.workers.steps import deliver


async def add(ctx: Context, job: Job, staging: Staging) -> None:
    """Make the stem file that the job's options ask for, unless it is staged already.

    Raises PauseService for a fault of the disk, RetryLater for one that may pass, and what
    `deliver.tag_part` does.
    """
    codec = job.options.stem_file
    if codec is None or await asyncio.to_thread(staging.stem_file.recover, codec):
        return
    stems = {stem: staging.file_of(stem) for stem in STEMS[job.options.stems]}
    part = staging.stem_file.part(codec)
    try:
        with durable.disk_faults(staging.outbox):
            # Told as progress: of a set of hours it takes longer than the watchdog has patience.
            await ctx.audio.stem_file(stems, part, codec, tell=ctx.progress.touch)
    except (Reject, RetryLater) as fault:  # or a disk that takes no file of this size
        if deliver.may_pass(job, fault):
            raise
        note = f"The song is delivered without its stem file: {fault.message}"
        log.warning("job.stem_file", **job.named, note=note)
        await asyncio.to_thread(drop, part)
        return
    await _tag_and_keep(ctx, job, staging, codec, afresh=False)


async def copy(ctx: Context, job: Job, staging: Staging, folder: str) -> None:
    """Stage the stem file of the earlier delivery in `folder`, if that is as it was delivered."""
    codec = job.options.stem_file
    if codec is None:
        return
    if await asyncio.to_thread(earlier.copy_stem_file, folder, codec, staging):
        await _tag_and_keep(ctx, job, staging, codec, afresh=True)


async def _tag_and_keep(
    ctx: Context, job: Job, staging: Staging, codec: str, *, afresh: bool
) -> None:
    part, own = staging.stem_file.part(codec), StemTag(naming.song_name(job.name), song=True)
    await deliver.tag_part(ctx, job, "stem_file", part, "m4a", own, afresh=afresh)
    await asyncio.to_thread(staging.stem_file.commit, codec)
