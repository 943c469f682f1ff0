"""What every finished song gets beside its own stems, however these came: in this order."""

from __future__ import annotations

from stemwatch.job import Job
from stemwatch.outbox.staging import Staging
from stemwatch.workers.context import Context
from stemwatch.workers.steps import deliver
from stemwatch.workers.steps.finishing import add_stem_file
from stemwatch.workers.steps.finishing.measured import add_measures


async def add_all(ctx: Context, job: Job, staging: Staging) -> None:
    """Stage mixes and the stem file, and measure all that is staged; see each of them for faults.

    `job` has its tempo and key: they become tags.
    """
    await deliver.add_mixes(ctx, job, staging)
    await add_stem_file.add(ctx, job, staging)
    await add_measures(ctx, job, staging)
