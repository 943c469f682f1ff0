"""Yields the form in which a song is uploaded, on either wire: the original, or a FLAC of it.

**One submission, one key, one form.** The idempotency key names the intent to have this content
separated with these options, and neither it nor the content's key depends on what is sent. A retry
under a key that the journal holds may be a repetition: then the same form is sent again, which the
journal names, whatever `prepare.upload` says by now. The encoder gives the same bytes for the same
song, so a server that compares bodies sees the same one; wire B's `POST /jobs` names a fresh upload
each time anyway, and a lost answer is looked for in its list by the key's token alone. If the form
can't be made again, the original goes under the same key: a server that keeps keys answers with the
job that it has, and one that doesn't is never asked again without a person's word.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stemwatch.audio.preparing.plans import is_made_flac
from stemwatch.codes import Code
from stemwatch.errors import PauseService, Reject, RetryLater
from stemwatch.job import Job
from stemwatch.limits import UNPREPARED
from stemwatch.log import log
from stemwatch.stemsplit.interface import TooLarge, Upload
from stemwatch.workers.context import Context
from stemwatch.workers.one_ahead import Made
from stemwatch.workers.preparing.choice import choice
from stemwatch.workers.preparing.encoding import make


@asynccontextmanager
async def prepared(
    ctx: Context, job: Job, original: Upload, too_large: TooLarge | None = None
) -> AsyncIterator[Upload]:
    """Yield the song's form; its file is there until the block ends.

    `too_large`: the API has just refused the original for its size. Raises Reject, RetryLater or
    PauseService where no form can be sent.
    """
    made = await _made(ctx, job, too_large)
    if made is None:
        yield original
        return
    try:
        log.debug("job.prepared", **job.named, bytes=made.size, instead_of=original.size)
        # No `except` encloses the `yield`: a fault after the paid call would be taken for one of
        # the preparation, and the song would be submitted, and paid for, again.
        yield _upload(job, made)
    finally:
        made.close()


def _upload(job: Job, made: Made) -> Upload:
    return Upload(
        fd=made.fd,
        size=made.size,
        filename=f"{os.path.splitext(job.name)[0]}.flac",
        codec=made.codec,
        content=f"{job.sha256}:{made.codec}:{made.size}",
    )


async def _made(ctx: Context, job: Job, too_large: TooLarge | None) -> Made | None:
    """The song's FLAC; None: the original is to be sent."""
    chosen = choice(ctx, job, too_large)
    if chosen.form == "original":
        if too_large is not None:
            raise _with_hint(ctx, job, too_large)
        return None
    try:
        made = await ctx.preparing.take(job) or await make(ctx, job, chosen)
    except (Reject, RetryLater, PauseService) as fault:
        if chosen.needed or fault.code == Code.AUDIO_HELPER:  # no song goes without the helper
            if fault.code == Code.ROOM and ctx.gate.since(Code.ROOM, job.inbox) is None:
                ctx.space.wait_with_upload(job, os.path.dirname(ctx.journal.path), chosen.most)
            raise
        log.warning("job.sent_as_it_is", **job.named, code=fault.code, message=fault.message)
        return None
    finally:
        ctx.bell.hurry()  # the encoder is free for the next song, and this upload makes no turn
    if made.size <= chosen.limit:
        return made
    made.close()
    if chosen.needed:
        raise _still_too_large(made.size, chosen.limit)
    return None


def _with_hint(ctx: Context, job: Job, fault: TooLarge) -> TooLarge:
    if is_made_flac(job.codec) and ctx.preparing.upload == "original":
        fault.hint = UNPREPARED
    return fault


def _still_too_large(size: int, limit: int) -> Reject:
    return Reject(
        f"The API takes {limit / 1e6:.0f} MB; as FLAC the song still has {size / 1e6:.1f} MB.",
        code=Code.TOO_LARGE,
        hint="Convert it to MP3 or M4A, or cut it into parts.",
    )
