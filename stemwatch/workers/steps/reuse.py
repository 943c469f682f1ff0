"""queued -> delivered without paying: reuses the stems of an earlier, identical separation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from stemwatch.codes import Code
from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.inbox.taking.known_jobs import undecided
from stemwatch.job import IN_OUTBOX, Job, JobState
from stemwatch.log import log
from stemwatch.outbox import earlier as earlier_stems
from stemwatch.outbox import sidecar
from stemwatch.outbox.sidecar import ResultFile
from stemwatch.outbox.staging import Staging
from stemwatch.outbox.unread import Unreadable
from stemwatch.workers.context import Context
from stemwatch.workers.progress import DELIVERING
from stemwatch.workers.steps import deliver
from stemwatch.workers.steps.finishing import add_stem_file
from stemwatch.workers.steps.finishing.additions import add_all
from stemwatch.workers.steps.finishing.result_names import with_tags


async def ended(ctx: Context, job: Job) -> list[Job]:
    """The jobs with the same content that were delivered, or are in quarantine."""
    return await ctx.journal.with_content(job.content_key, (*IN_OUTBOX, JobState.QUARANTINED))


_TOLD = (
    *("remote_id", "engine", "model", "model_sha256"),
    *("bpm", "key", "heard", "submitted_at", "completed_at", "uploaded_codec", "uploaded_bytes"),
)


async def reuse(ctx: Context, job: Job, alike: Sequence[Job]) -> Job | None:
    """Deliver the stems of one of `alike`; None if no earlier folder is still whole.

    None too for a song that its owner wants separated anew.

    Returns the job as `delivered`. Raises Reject where the content may have been charged already
    and waits in quarantine for a person, RetryLater where the earlier folder's disk is away, or it
    can't be read: stems that are there are not paid for again.
    """
    unread: Unreadable | None = None
    for earlier in () if job.anew else alike:
        if earlier.state is JobState.QUARANTINED or earlier.delivered_to is None:
            continue
        job = await with_tags(ctx, job)
        told = {name: getattr(earlier, name) for name in _TOLD}
        if (folder := await deliver.published(ctx, job.evolve(**told))) is not None:
            # this job was published before a crash, from this same earlier delivery
            return await ctx.unbroken(
                deliver.record(ctx, job, folder, reused_from=earlier.delivered_to, **told)
            )
        ctx.progress.stage(job.id, job.name, DELIVERING)
        try:
            staging = await _staged(ctx, job.evolve(**told), earlier, earlier.delivered_to)
        except Unreadable as fault:
            unread = unread or fault
            continue
        if isinstance(staging, str):
            note = f"Its earlier stems are not used: {staging}"
            log.info("job.not_reused", **job.named, folder=earlier.delivered_to, note=note)
            continue
        source = os.path.relpath(earlier.delivered_to, job.outbox)
        await add_all(ctx, job.evolve(**told), staging)
        return await ctx.unbroken(
            deliver.publish(ctx, job, staging, cost_minutes=0.0, reused_from=source, **told)
        )
    if unread is not None:
        raise unread
    # This song may have waited for one that then went to quarantine, unknown to the intake.
    quarantined = [other for other in alike if other.state is JobState.QUARANTINED]
    if (held := undecided(quarantined)) is not None:
        raise held
    return None


async def _staged(ctx: Context, job: Job, earlier: Job, folder: str) -> Staging | str:
    """`_tagged_copy`, after a check that the disk is there if the folder is in another outbox.

    Stems on a disk that is away are not gone, and are not paid for again: raises RetryLater. It
    is no PauseService, since only the other inbox's disk is in trouble.
    """
    if earlier.outbox == job.outbox:
        return await _tagged_copy(ctx, job, folder)
    other = next((p for p in ctx.places.values() if p.outbox == earlier.outbox), None)
    try:
        if other is not None:
            await other.demand_outbox()
        return await _tagged_copy(ctx, job, folder)
    except PauseService as fault:
        if fault.code == Code.AUDIO_HELPER:
            raise
        raise RetryLater(
            f"its stems were delivered to {folder} before: {fault.message}",
            code=Code.HELD,
            hint=fault.hint,
            after=ctx.timing.disk_recheck,
            counts=False,
        ) from fault


async def _tagged_copy(ctx: Context, job: Job, folder: str) -> Staging | str:
    """A staging with the stems of the earlier `folder`, tagged anew; or why it is not whole."""
    stems = await asyncio.to_thread(_stems_of, folder, job)
    if isinstance(stems, str):
        return stems
    token = f"{job.id}-{job.content[:12]}-reuse"
    staging = await asyncio.to_thread(Staging, job.outbox, token, job.options.format)
    for stem in stems:
        if await _copied(folder, stem, staging):
            # What somebody wrote into the earlier stems is theirs; this may be another's song.
            await deliver.tag(ctx, job, staging, stem.id, afresh=True)
            recipe, gain = stem.derived_from, stem.gain_db
            commit = staging.commit_part
            await asyncio.to_thread(commit, stem.id, derived_from=recipe, gain_db=gain)
        elif stem.derived_from is None:
            await asyncio.to_thread(staging.remove)
            return f"{stem.file} is gone, or sounds otherwise."
    await add_stem_file.copy(ctx, job, staging, folder)
    return staging


async def _copied(folder: str, stem: ResultFile, staging: Staging) -> bool:
    try:
        return await asyncio.to_thread(earlier_stems.copy, folder, stem, staging)
    except Unreadable:
        if stem.derived_from is not None:
            return False  # a mix is made anew
        await asyncio.to_thread(staging.remove)
        raise


def _stems_of(folder: str, job: Job) -> list[ResultFile] | str:
    """The files of the earlier `folder` that the job asks for; or why there are none."""
    path = sidecar.locate(folder)
    if path is None:
        return "the folder, or its sidecar, is gone."
    try:
        found = sidecar.read(path)
    except Reject as fault:
        return fault.message
    return earlier_stems.usable(found, job.options) or "its sidecar lacks some of them."
