"""Reads the tags of the song itself: for its names, and what they say of its tempo and key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stemwatch.audio.tagging.song_tags import own_tempo
from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.job import Job
from stemwatch.musical_keys import parse_own_key
from stemwatch.workers.context import Context


async def read(ctx: Context, job: Job) -> tuple[Mapping[str, Sequence[str]], str | None]:
    """The original's tags, and why they can't be read (None: they can).

    What is told of them is for good, so a disk that is there and fails is given time: raises
    RetryLater while the job has tries left, but never more, since its stems are paid for. Raises
    PauseService where the audio helper does not work.
    """
    try:
        await ctx.place_of(job).require_inbox()  # the helper would hang with a share that is away
    except PauseService as away:
        return {}, str(away)
    try:
        return await ctx.audio.tags(job.path), None
    except Reject as fault:
        return {}, str(fault)
    except OSError as fault:
        what = f"its tags can't be read: {job.path}: {fault.strerror or fault}."
        hint = "Check the inbox's disk; without an answer the song is delivered without them."
        later = RetryLater(what, code=Code.DISK_ERROR, hint=hint)
        if fault.errno not in durable.UNREACHABLE or job.attempts + 1 >= later.rule.tries:
            return {}, str(fault)
        raise later from fault


async def tempo_and_key(ctx: Context, job: Job) -> dict[str, Any]:
    """The sidecar's `own`: `bpm` and `key` (as `musical_keys` parses it) by the song's own tags.

    Each is None where the tags don't say it, or can't be read: whoever tags the stems says so.
    """
    tempo, key = await told(ctx, job)
    return {"bpm": None if tempo is None else own_tempo(tempo), "key": parse_own_key(key)}


async def told(ctx: Context, job: Job) -> tuple[str | None, str | None]:
    """Tempo and key as the song's own tags have them; None where they don't, or can't be read."""
    if job.id in ctx.memory.untagged:  # its tags have cost a helper its life
        return None, None
    tags, _ = await read(ctx, job)
    return _first(tags, "bpm"), _first(tags, "key")


def _first(tags: Mapping[str, Sequence[str]], name: str) -> str | None:
    return next(iter(tags.get(name, ())), None)
