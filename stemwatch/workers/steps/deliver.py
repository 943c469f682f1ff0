"""What `fetch` and `reuse` share: mixes, tags, the sidecar, publishing the folder.

The stem file is `add_stem_file`'s.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from typing import Any

from stemwatch import __version__
from stemwatch.audio.results import StemTag
from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.job import CLEARED, IN_OUTBOX, STEMS, Job, JobState
from stemwatch.log import log
from stemwatch.musical_keys import parse_key, tag_key
from stemwatch.outbox import delivery, naming, sidecar
from stemwatch.outbox.sidecar import ResultFile
from stemwatch.outbox.staging import Staging, drop
from stemwatch.workers.context import Context
from stemwatch.workers.steps.finishing import own_tags, result_names

Received = Callable[[int], None]


def parent_of(ctx: Context, job: Job) -> str:
    """The outbox folder that mirrors the song's place in the inbox, by names that fit its disk."""
    limit = ctx.place_of(job).longest_name or naming.LIMIT
    return os.path.join(job.outbox, naming.mirror(job.relpath, limit=limit)).rstrip("/")


async def _parent(ctx: Context, job: Job) -> str:
    """`parent_of`, after a question to the disk: the place of a `split` was not asked yet."""
    await asyncio.to_thread(ctx.place_of(job).learn_names)
    return parent_of(ctx, job)


async def published(ctx: Context, job: Job) -> str | None:
    """The folder that this same job published before a crash, or None."""
    folder = await asyncio.to_thread(
        delivery.find_published,
        await _parent(ctx, job),
        result_names.song_of(ctx, job),
        job,
    )
    if folder is None:
        return None
    others = await ctx.journal.with_content(job.content_key, IN_OUTBOX)
    return None if folder in {other.delivered_to for other in others} else folder


async def add_mixes(ctx: Context, job: Job, staging: Staging) -> None:
    """Make the configured mixes that are not staged yet from the staged stems.

    One that can't be made is told and left out, as a stem file is: the stems are paid for. Raises
    PauseService for a fault of the disk, RetryLater for one that may pass, and what `tag_part`
    does.
    """
    have = {stem.id for stem in staging.stems}
    for mix, sources in job.options.mixes.items():
        if mix in have:
            continue
        inputs = [staging.file_of(source) for source in sources]
        part, tell = staging.part(mix), ctx.progress.touch
        try:
            with durable.disk_faults(staging.outbox):
                made = await ctx.audio.mix(inputs, part, job.options.format, tell=tell)
        except (Reject, RetryLater) as fault:  # or a disk that takes no file of this size
            if may_pass(job, fault):
                raise
            note = f"The song is delivered without it: {fault.message}"
            log.warning("job.mix", **job.named, mix=mix, note=note)
            await asyncio.to_thread(drop, part)
            continue
        await tag(ctx, job, staging, mix)
        await asyncio.to_thread(
            staging.commit_part, mix, derived_from=sources, gain_db=made.gain_db
        )


def may_pass(job: Job, fault: Reject | RetryLater) -> bool:
    """Whether the fault may be over at one of the tries that the job has left."""
    if not isinstance(fault, RetryLater) or not fault.counts:
        return False
    cause = fault.__cause__
    for_good = isinstance(cause, OSError) and cause.errno == errno.EFBIG  # too large for FAT
    return not for_good and job.attempts + 1 < fault.rule.tries


async def tag(ctx: Context, job: Job, staging: Staging, stem: str, *, afresh: bool = False) -> None:
    """Copy the song's tags and cover into the staged `stem`: see `tag_part`."""
    part, own = staging.part(stem), _told_of(job, stem)
    await tag_part(ctx, job, stem, part, job.options.format, own, afresh=afresh)


async def tag_part(
    ctx: Context,
    job: Job,
    stem: str,
    part: str,
    format: str,
    own: StemTag,
    *,
    afresh: bool = False,
) -> None:
    """Copy the song's tags and cover into `part`; `afresh`: in place of all that it has.

    `stem` is how the log calls it.

    Tags are a courtesy and never hold up a delivery, nor does an original that was taken away: a
    disk fault raised here is the outbox's. An original on a share that is away is not opened, since
    the helper would hang with the share. Tags that crash or hang the helper may leave a stem half
    written: raises RetryLater, and the next try leaves the song's stems untagged. A disk that hangs
    is no fault of theirs: PauseService for the outbox, RetryLater for the inbox.
    """
    if job.id in ctx.memory.untagged:
        if afresh:
            note = "It keeps the tags of the earlier delivery."
            log.info("job.tags", **job.named, stem=stem, note=note)
        return
    source = job.path
    try:
        await ctx.place_of(job).require_inbox()
    except PauseService as away:
        source = ""
        log.info("job.tags", **job.named, stem=stem, note=away.message)
    key, how = tag_key(parse_key(job.key)), {"whole": ctx.whole_tempo, "serato": ctx.serato}
    with durable.disk_faults(job.outbox):
        try:
            notes = await ctx.audio.tag(
                source, {part: own}, format, job.bpm, key, **how, afresh=afresh
            )
        except TimeoutError as fault:  # it waited for a disk; a busy helper is a Reject
            await _require_disks(ctx, job, stem, source)
            raise _without_tags(ctx, job, stem, "it takes too long.") from fault
        except Reject as fault:
            raise _without_tags(ctx, job, stem, fault.message) from fault
    for note in notes:
        log.info("job.tags", **job.named, stem=stem, note=note)


def _told_of(job: Job, stem: str) -> StemTag:
    """What a stem says of itself, as its place among all of the song's stems and mixes."""
    title = naming.name_of_stem(naming.song_name(job.name), stem, "x").removesuffix(".x")
    every = [*STEMS[job.options.stems], *job.options.mixes]
    return StemTag(title, naming.stem_label(stem), every.index(stem) + 1)


async def _require_disks(ctx: Context, job: Job, stem: str, source: str) -> None:
    """Raise the fault of a disk that the tags waited for, if it does not answer now either.

    `source`: the song that was read; empty: none.
    """
    place = ctx.place_of(job)
    await place.demand_outbox()
    try:
        if source:
            await place.require_inbox()
    except PauseService as away:
        note = f"the tags waited for a disk: {away.message} The stem is fetched again."
        log.warning("job.tags", **job.named, stem=stem, note=note)
        raise RetryLater(note, code=Code.UNTAGGED, counts=False, after=0.0) from away


def _without_tags(ctx: Context, job: Job, stem: str, why: str) -> RetryLater:
    """The fault for tags that crashed the helper or took it too long; notes the job as untagged."""
    ctx.memory.untagged.add(job.id)
    note = f"the tags cost the helper its life: {why} The stem is fetched again, without them."
    log.warning("job.tags", **job.named, stem=stem, note=note)
    return RetryLater(note, code=Code.UNTAGGED, counts=False, after=0.0)


async def publish(
    ctx: Context,
    job: Job,
    staging: Staging,
    *,
    cost_minutes: float,
    reused_from: str | None = None,
    **changes: Any,
) -> Job:
    """Publish the staged files as the song's folder and commit `delivered`. Returns the job.

    `changes` are fields of the job that are known only now.
    """
    told = job.evolve(**changes)
    own = await own_tags.tempo_and_key(ctx, told)

    def describe(stems: Sequence[ResultFile]) -> dict[str, Any]:
        return sidecar.build(
            told,
            stems,
            own=own,
            version=__version__,
            now=ctx.now(),
            reused_from=reused_from,
            cost_minutes=cost_minutes,
            stem_file=staging.stem_file.told(),
        )

    folder = await asyncio.to_thread(
        delivery.publish,
        staging,
        await _parent(ctx, job),
        result_names.song_of(ctx, told),
        job.sha256,
        describe,
        result_names.stems_of(ctx, told),
    )
    # If the mount went away meanwhile, the folder lies below the mount point: deliver again.
    await ctx.place_of(job).demand_outbox()
    return await record(ctx, job, folder, reused_from=reused_from, **changes)


async def record(
    ctx: Context, job: Job, folder: str, *, reused_from: str | None = None, **changes: Any
) -> Job:
    """Commit `delivered` with the published folder, and log it. Returns the job."""
    delivered = await ctx.journal.advance(
        job,
        JobState.DELIVERED,
        f"reused from {reused_from}" if reused_from else "",
        delivered_to=folder,
        attempts=0,
        not_before=0.0,
        **CLEARED,
        **changes,
    )
    log.info(
        "job.delivered",
        **job.named,
        seconds=round(ctx.now() - job.created_at, 1),
        bpm=delivered.bpm,
        key=delivered.key,
        folder=folder,
        reused=reused_from is not None,
        **({"unpacked": True} if delivered.at_hand else {}),
    )
    return delivered
