"""Asks `plans` in which form a job's song is sent: by the configuration, or as it was before."""

from __future__ import annotations

from stemwatch.audio.preparing.plans import Plan, plan, refusal
from stemwatch.audio.results import Probe
from stemwatch.job import Job
from stemwatch.stemsplit.interface import TooLarge
from stemwatch.workers.context import Context


def choice(ctx: Context, job: Job, too_large: TooLarge | None = None) -> Plan:
    """The plan for this song. Raises Reject where the API takes no form of it.

    `too_large`: the API has just refused the original.
    """
    size, limits = job.identity.size, ctx.api.limits
    limit = limits.largest if too_large is None else too_large.limit
    upload, low_bitrate = ctx.preparing.upload, ctx.preparing.low_bitrate
    sent = job.idempotency_key is not None and job.uploaded_codec is not None
    if sent:  # as under this key before: see `form`
        same = job.uploaded_codec == job.codec
        upload, low_bitrate = ("original", "send") if same else ("auto", "flac")
    sound = Probe(job.duration or 0.0, job.codec or "", job.sample_rate or 0, job.channels or 0)
    chosen = plan(
        sound, job.name, size, limit, upload=upload, low_bitrate=low_bitrate, near=ctx.local
    )
    # What went as FLAC was no larger than the API takes, whatever is expected of it.
    refused = None if sent and chosen.needed else refusal(chosen, sound, size, limits)
    if refused is not None:
        raise refused  # it was queued under another configuration
    return chosen
