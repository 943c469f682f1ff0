"""What staged stems and mixes measure, for the sidecar and the page."""

from __future__ import annotations

import asyncio

from stemwatch.errors import Reject
from stemwatch.job import Job
from stemwatch.log import log
from stemwatch.outbox.staging import Staging
from stemwatch.outbox.waveform_file import COLUMNS
from stemwatch.workers.context import Context


async def add_measures(ctx: Context, job: Job, staging: Staging) -> None:
    """Measure every staged file, each with one decode; what can't be measured stays unknown.

    A courtesy, as tags are: the stems are paid for, and are delivered without it. Files that were
    staged before a crash are measured again. Raises PauseService where no audio helper works.
    """
    columns = COLUMNS if ctx.keep_waveforms else 0

    async def add(stem: str) -> None:
        try:
            found = await ctx.audio.measure(staging.file_of(stem), columns)
        except (Reject, OSError) as fault:
            why = fault.message if isinstance(fault, Reject) else str(fault)
            log.warning("job.measures", **job.named, stem=stem, note=f"it has none: {why}")
        else:
            staging.keep_measures(stem, found)

    await asyncio.gather(*(add(stem.id) for stem in staging.stems))
