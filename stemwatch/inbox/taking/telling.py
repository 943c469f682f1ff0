"""What the log says of a song that comes into the journal."""

from __future__ import annotations

from stemwatch.job import Job, Options
from stemwatch.log import log


def tell_queued(job: Job) -> None:
    told = {"stem_file": True} if job.at_hand else {}
    log.info("job.queued", **job.named, id=job.id, seconds=round(job.duration or 0.0, 1), **told)


def tell_fewer(job: Job, asked: Options) -> None:
    """Six stems were asked for, and the file has four."""
    left_out = [mix for mix in asked.mixes if mix not in job.options.mixes]
    note = "a stem file has four stems: guitar and piano are in the one called other."
    if left_out:
        note += f" Without them these mixes are not made: {', '.join(left_out)}."
    log.info("job.four_stems", **job.named, note=note)
