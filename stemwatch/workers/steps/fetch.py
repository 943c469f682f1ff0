"""separated -> delivered: downloads the stems, verifies them and publishes the song's folder."""

from __future__ import annotations

import asyncio
import hashlib
import os

from stemwatch.codes import POLL, Code
from stemwatch.disks import durable, space
from stemwatch.errors import Reject, RetryLater
from stemwatch.job import CLEARED, STEMS, Job, Options
from stemwatch.outbox.staging import HIDDEN, Staging, remove_staging
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus
from stemwatch.workers.context import Context
from stemwatch.workers.progress import DELIVERING, DOWNLOAD
from stemwatch.workers.steps import deliver
from stemwatch.workers.steps.finishing.additions import add_all
from stemwatch.workers.steps.finishing.result_names import with_tags

# Typical bytes per second of one stem, for the progress bars.
_TYPICAL = {"wav": 176_400, "flac": 110_000, "mp3": 40_000}


async def fetch(ctx: Context, job: Job) -> Job:
    """Download, verify, tag, mix, measure and publish; returns the job as `delivered`.

    Stems that are whole stay staged after a crash or a fault, and are not downloaded again. Raises
    Reject, RetryLater or PauseService.
    """
    ctx.space.reserve(job)  # a job that `retry` brought back has no reservation yet
    job = await with_tags(ctx, job)
    remote = ctx.memory.fresh.pop(job.id, None)
    # A job that this run has just seen done was never published: the outbox need not be listed.
    if remote is None and (folder := await deliver.published(ctx, job)) is not None:
        # The run that published it was killed, or its disk failed, before the staging was removed.
        left = os.path.join(job.outbox, HIDDEN, _token(job))
        await asyncio.to_thread(remove_staging, left)
        return await ctx.unbroken(deliver.record(ctx, job, folder))
    staging, missing = await asyncio.to_thread(_staged, job)
    if missing:
        remote = remote or await _addresses(ctx, job)
        job = await _download_all(ctx, job, staging, missing, remote)
    ctx.progress.stage(job.id, job.name, DELIVERING)
    await add_all(ctx, job, staging)
    minutes = 0.0 if ctx.local else (job.duration or 0.0) / 60.0
    return await ctx.unbroken(deliver.publish(ctx, job, staging, cost_minutes=round(minutes, 4)))


def _token(job: Job) -> str:
    """The staging's name, unique to the remote job: stems of two never end up in one folder."""
    return f"{job.id}-{hashlib.sha256((job.remote_id or '').encode()).hexdigest()[:12]}"


def _staged(job: Job) -> tuple[Staging, list[str]]:
    """The job's staging, and the names of the stems that it does not hold yet."""
    staging = Staging(job.outbox, _token(job), job.options.format)
    return staging, [stem for stem in STEMS[job.options.stems] if staging.recover(stem) is None]


async def _download_all(
    ctx: Context, job: Job, staging: Staging, missing: list[str], remote: RemoteJob
) -> Job:
    """Download these stems, one after another; returns the job, whose tries each stem renews."""
    stems = STEMS[job.options.stems]
    typical = int((job.duration or 0.0) * _TYPICAL[job.options.format])
    entry = ctx.progress.stage(job.id, job.name, DOWNLOAD, typical * len(stems) or None)
    before = typical * (len(stems) - len(missing))
    for stem in missing:

        def received(count: int, before: int = before) -> None:
            entry.done = before + count
            ctx.progress.touch()

        before += await _download(ctx, job, staging, stem, remote.stems[stem], received)
        if job.attempts:  # only tries that bring nothing count: each hour's addresses expire
            job = await ctx.journal.amend(job, attempts=0, **CLEARED)
    return job


async def _addresses(ctx: Context, job: Job) -> RemoteJob:
    """Ask for the remote job again, since the URLs of its stems expire after an hour.

    Raises Reject where the separation failed or is unknown, RetryLater while the API is held.
    """
    if job.remote_id is None:
        raise Reject("the journal holds no remote id for it.", code=Code.JOB_LOST)
    if (held := ctx.gate.closed(POLL)) is not None:
        # The storage may be up while the API is down, but only the API gives the URLs.
        raise RetryLater(
            held.message, code=Code.HELD, counts=False, after=ctx.gate.seconds_left(held.code)
        )
    await ctx.requests.take()
    began = ctx.clock()
    remote = await ctx.api.job(job.remote_id, stems=job.options.stems)
    ctx.memory.overtaken.served(POLL, began, job.id)
    if remote.status is RemoteStatus.FAILED:
        raise Reject(
            f"the separation failed after all: {remote.error or 'no reason was given'}.",
            code=Code.SEPARATION_FAILED,
            hint="`stemwatch retry` submits it again.",
        )
    if remote.status is not RemoteStatus.COMPLETED:
        raise RetryLater("the server says that it is running again.", code=Code.BAD_ANSWER)
    return remote


async def _download(
    ctx: Context, job: Job, staging: Staging, stem: str, url: str, received: deliver.Received
) -> int:
    """Download one stem into its part, verify, tag and commit it. Returns its size in bytes."""
    limit = space.needed_bytes(job.duration or 600.0, Options(1, job.options.format)) * 3
    part = staging.part(stem)
    counted = ctx.counters.received.transfer()

    def arrived(count: int) -> None:
        counted(count)
        received(count)

    with durable.disk_faults(staging.outbox):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        fd = await asyncio.to_thread(os.open, part, flags, 0o666)
    began = ctx.clock()
    try:
        size = await ctx.api.download(
            url,
            fd,
            limit=limit,
            deadline=ctx.timing.download_stall + limit / 1e6 * ctx.timing.download_megabyte,
            on_received=arrived,
        )
    except RetryLater as fault:
        _judge_storage(ctx, job, fault, began)
        raise
    finally:
        with durable.disk_faults(staging.outbox):  # network shares report failed writes at close
            await asyncio.to_thread(os.close, fd)
    ctx.gate.storage_answered(began, job.id)
    try:
        with durable.disk_faults(staging.outbox):  # an unreadable part is the disk's fault
            await ctx.audio.verify(part, expected=job.duration, format=job.options.format)
    except Reject as fault:
        raise RetryLater(
            f"the {stem} stem is damaged: {fault.message}", code=Code.BAD_STEM, hint=fault.hint
        ) from fault
    await deliver.tag(ctx, job, staging, stem)
    await asyncio.to_thread(staging.commit_part, stem)
    return size


def _judge_storage(ctx: Context, job: Job, fault: RetryLater, began: float) -> None:
    """Count a download's fault against the storage, and change `fault` so that it spares the API.

    The storage is another host: its faults must not be taken for an outage of the API.
    """
    if fault.code == Code.RATE_LIMITED:
        # A 429 of the storage says nothing about the API: only this song waits, longer each time.
        ctx.counters.rate_limited += 1
        fault.code, fault.counts = Code.STORAGE_BUSY, True
    if not fault.server_down:
        ctx.gate.storage_answered(began, job.id)
        return
    fault.server_down = False
    ctx.gate.storage_failed(job.id, fault.message, fault.after)
