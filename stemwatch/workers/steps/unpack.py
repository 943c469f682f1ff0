"""queued -> delivered without paying: a stem file's own stems are unpacked, nothing is separated.

The API is asked for nothing, so this goes on whatever holds submissions back.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from stemwatch.audio.tagging.song_tags import own_tempo
from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.errors import Reject, TakenBack
from stemwatch.job import STEMS, Job
from stemwatch.musical_keys import own_key
from stemwatch.outbox.staging import Staging
from stemwatch.workers.context import Context
from stemwatch.workers.preparing.original import looks, opened
from stemwatch.workers.progress import DELIVERING, UNPACKING, Running
from stemwatch.workers.steps import deliver
from stemwatch.workers.steps.finishing import own_tags
from stemwatch.workers.steps.finishing.additions import add_all
from stemwatch.workers.steps.finishing.result_names import with_tags
from stemwatch.workers.steps.reuse import ended, reuse

_INSTRUMENTAL = ("drums", "bass", "other")  # what it is the sum of


async def unpack(ctx: Context, job: Job) -> Job:
    """Unpack, verify, tag, mix and publish; returns the job as `delivered`.

    The same file that was delivered before is reused, as any song. A try that is cut off leaves a
    hidden staging, and the next one begins anew. Raises TakenBack, Reject, RetryLater or
    PauseService.
    """
    if (delivered := await reuse(ctx, job, await ended(ctx, job))) is not None:
        return delivered
    job = await with_tags(ctx, job)
    told = await _own(ctx, job)
    if (folder := await deliver.published(ctx, job.evolve(**told))) is not None:
        # The run that published it was killed, or its disk failed, before that was recorded.
        return await ctx.unbroken(deliver.record(ctx, job, folder, **told))
    async with opened(ctx, job) as fd:
        staging = await asyncio.to_thread(_staging, job)
        try:
            await _Unpacking(ctx, job.evolve(**told), fd, staging).all()
            ctx.progress.stage(job.id, job.name, DELIVERING)
            await add_all(ctx, job.evolve(**told), staging)
            await _require_there(ctx, job, fd)
        except (TakenBack, Reject):  # there is no next try that would write over it
            await asyncio.to_thread(staging.remove)
            raise
        return await ctx.unbroken(deliver.publish(ctx, job, staging, cost_minutes=0.0, **told))


async def _own(ctx: Context, job: Job) -> dict[str, Any]:
    """Tempo and key by the song's own tags: nobody else tells them."""
    await ctx.place_of(job).require_inbox()  # the helper would hang with a share that is away
    bpm, key = await own_tags.told(ctx, job)
    return {"bpm": own_tempo(bpm or ""), "key": own_key(key or "")}


def _staging(job: Job) -> Staging:
    staging = Staging(job.outbox, f"{job.id}-{job.content[:12]}-unpack", job.options.format)
    staging.discard()  # what a killed run left
    return staging


class _Unpacking:
    """One try to unpack the song's file, open as `fd`, into its staging."""

    def __init__(self, ctx: Context, job: Job, fd: int, staging: Staging) -> None:
        self._ctx, self._job, self._fd, self._staging = ctx, job, fd, staging
        self._entry: Running = ctx.progress.stage(job.id, job.name, UNPACKING)

    async def all(self) -> None:
        """Stage every stem that the job asks for."""
        for stem in STEMS[self._job.options.stems]:
            if stem == "instrumental":
                await self._instrumental(stem)
            else:
                await self._track(stem, self._staging.part(stem), self._job.options.format)
                await self._commit(stem)

    async def _instrumental(self, stem: str) -> None:
        """The sum of all stems but the vocals. They are WAVs meanwhile, whatever is asked for."""
        tracks = {one: os.path.join(self._staging.path, f"{one}.track") for one in _INSTRUMENTAL}
        for one, path in tracks.items():
            await self._track(one, path, "wav")
        part = self._staging.part(stem)
        with durable.disk_faults(self._staging.outbox):
            inputs = list(tracks.values())
            format, tell = self._job.options.format, self._ctx.progress.touch
            made = await self._ctx.audio.mix(inputs, part, format, tell=tell)
            for path in inputs:
                await asyncio.to_thread(os.unlink, path)
        await self._commit(stem, made.gain_db)

    async def _track(self, stem: str, out: str, format: str) -> None:
        """Write one track, and see that it is whole."""
        ctx, job = self._ctx, self._job
        with durable.disk_faults(self._staging.outbox):
            try:
                await ctx.audio.unpack(job.path, stem, out, format, tell=ctx.progress.touch)
                await ctx.audio.verify(out, job.duration, format)
            except OSError as fault:
                await _require_there(ctx, job, self._fd)
                raise OSError(fault.errno, fault.strerror, out) from fault
            except Reject as fault:
                await _require_there(ctx, job, self._fd)
                raise _judged(job, stem, fault) from fault
            self._entry.done += (await asyncio.to_thread(os.stat, out)).st_size
        ctx.progress.touch()

    async def _commit(self, stem: str, gain_db: float | None = None) -> None:
        await deliver.tag(self._ctx, self._job, self._staging, stem)
        await asyncio.to_thread(self._staging.commit_part, stem, gain_db=gain_db)


def _judged(job: Job, stem: str, fault: Reject) -> Reject:
    """The fault of a track that is not whole: it is the song's, and nobody can fetch it again."""
    if fault.code != Code.BAD_STEM:
        return fault
    return Reject(
        f"the {stem} track of {job.name} can't be unpacked whole: {fault.message}",
        code=Code.CORRUPT,
        hint="Copy or download it again, or export it again from your stem creator. Renamed to "
        "end in .m4a without .stem, its mix is separated like any song.",
    )


async def _require_there(ctx: Context, job: Job, fd: int) -> None:
    """Raise TakenBack if the user took the file back or changed it, PauseService if its disk is
    away: then it is not the file that is at fault."""
    place = ctx.place_of(job)
    await place.require_inbox()
    opened, path_is = await asyncio.to_thread(looks, fd, job.path)
    if path_is is None or not place.same(path_is, job.identity) or opened.size != job.identity.size:
        raise TakenBack(f"{job.name} was taken back or changed before it was unpacked.")
