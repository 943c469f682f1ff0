"""What staged stems and mixes measure, for the sidecar and the page."""

from __future__ import annotations

from stemwatch.audio.results import Measures
from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.errors import Reject, RetryLater
from stemwatch.job import Job
from stemwatch.log import log
from stemwatch.outbox.staging import Staging
from stemwatch.outbox.waveform_file import COLUMNS
from stemwatch.tasks import side_by_side
from stemwatch.workers.context import Context
from stemwatch.workers.steps import deliver


async def add_measures(ctx: Context, job: Job, staging: Staging) -> None:
    """Measure every staged file, each with one decode; what can't be measured stays unknown.

    A courtesy, as tags are: the stems are paid for, and are delivered without it. Files that were
    staged before a crash are measured again. A fault of their disk concerns the stems themselves:
    raises PauseService, or RetryLater for one that may pass. PauseService where no helper works.
    """
    columns = COLUMNS if ctx.keep_waveforms else 0

    async def add(stem: str) -> None:
        try:
            with durable.disk_faults(staging.outbox):
                found = await _measured(ctx, job, staging.file_of(stem), columns)
        except (Reject, RetryLater) as fault:
            if deliver.may_pass(job, fault):
                raise
            note = f"it has none: {fault.message}"
            log.warning("job.measures", **job.named, stem=stem, note=note)
        else:
            staging.keep_measures(stem, found)

    await side_by_side((add(stem.id) for stem in staging.stems), name="measures")


async def _measured(ctx: Context, job: Job, path: str, columns: int) -> Measures:
    try:
        return await ctx.audio.measure(path, columns)
    except TimeoutError as fault:
        # A disk that hangs is waited for. One that is merely slow would be so at each other try.
        await ctx.place_of(job).demand_outbox()
        raise Reject(f"it takes too long: {fault}", code=Code.DECODER_CRASHED) from fault
