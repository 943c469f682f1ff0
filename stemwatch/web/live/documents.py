"""Jobs and the service as documents for the page: texts that can be shown, no path, no key."""

from __future__ import annotations

import math
from collections.abc import Mapping

from stemwatch import __version__
from stemwatch.codes import Code
from stemwatch.job import Job, JobState
from stemwatch.log import redacted, redacted_or_none
from stemwatch.musical_keys import parse_key
from stemwatch.outbox.sidecar import rfc3339
from stemwatch.web.backing import Backing, Document
from stemwatch.workers.pacing.credit import Credit
from stemwatch.workers.progress import SEPARATING, Running

HAS_STEMS = frozenset({JobState.DELIVERED, JobState.DONE})


def job_document(job: Job, running: Running | None = None, now: float = 0.0) -> Document:
    """One song, wherever it is. `running`: what is done with it right now; `now` Unix seconds."""
    folder, _, name = job.relpath.rpartition("/")
    unfiled = job.unfiled
    return {
        "id": job.id,
        "name": redacted(name),
        "folder": redacted(folder),
        "inbox": job.inbox,
        "state": str(job.state),
        "seconds": job.duration,
        "stems": job.options.stems,
        "bpm": job.bpm,
        "key": musical(job.key),
        "code": unfiled.code if unfiled else job.code,
        "message": redacted_or_none(unfiled.message if unfiled else job.message),
        "hint": redacted_or_none(unfiled.hint if unfiled else job.hint),
        "may_be_charged_again": job.code == Code.SUBMISSION_UNCONFIRMED,
        "first_at": job.first_at,
        "has_stems": job.state in HAS_STEMS and job.delivered_to is not None,
        "at": rfc3339(job.updated_at),
        **moving(job, running, now),
    }


def moving(job: Job, running: Running | None, now: float) -> Document:
    """The fields of its document that change while the job does not."""
    later = job.not_before > now
    progress = {"stage": None, "share": None, "remaining": None}
    return {
        "not_before": rfc3339(job.not_before) if later else None,
        **(progress if running is None else _progress(running, now)),
    }


def _progress(running: Running, now: float) -> Document:
    """The stage, how much of it is done (0 to 1), and the seconds that are probably left."""
    passed = max(0.0, now - running.since)
    done, total = running.done, running.total
    if running.stage == SEPARATING and total != 1.0:
        done = passed  # the total is how long a song of its kind usually takes
    share = min(done / total, 1.0) if total else None
    remaining = None
    if running.stage == SEPARATING and total and total != 1.0:
        remaining = round(total - passed)
        if passed >= total:  # an estimate that is over says nothing any more
            share = remaining = None
    elif share is not None and 0.02 < share < 1.0 and passed > 1.0:
        remaining = round(passed * (1.0 - share) / share)
    return {
        "stage": running.stage,
        "share": None if share is None else round(share, 2),
        "remaining": remaining,
    }


def service_document(
    backing: Backing, counts: Mapping[str, int], reckoned: Document, now: float
) -> Document:
    """The service as a whole; `reckoned` is what `Backing.reckon` gave last."""
    health, settings = backing.health, backing.settings()
    context = health.context
    clock = context.clock()
    return {
        "version": __version__,
        "stopping": health.stopping,
        "login": backing.password is not None,
        "separates": "local" if context.local else "api",
        "pauses": [
            {
                "code": pause.code,
                "inbox": pause.inbox,
                "message": redacted(pause.message),
                "hint": redacted(pause.hint),
                "next_try": None
                if pause.until == math.inf
                else rfc3339(round(now + pause.until - clock)),
            }
            for pause in context.gate.pauses
        ],
        "counts": dict(counts),
        "slots": {"held": context.slots.held, "limit": context.slots.limit},
        **reckoned,
        "credit": _credit(context.credit),
        "unreadable": len(health.rounds.unreadable),
        "inboxes": [
            {
                **watched,
                "presets": sorted(inbox.presets),
                "stems": inbox.separation.stems,
                "format": inbox.separation.format,
            }
            for watched, inbox in zip(backing.watching(), settings.every_inbox, strict=True)
        ],
        "extensions": list(settings.watch.extensions),
        "largest": context.largest,
    }


def musical(key: str | None) -> Document | None:
    """The key as the sidecar has it, without its raw form's oddities."""
    parsed = parse_key(key)
    return None if parsed is None else {**parsed, "raw": redacted(str(parsed["raw"]))}


def _credit(credit: Credit) -> Document | None:
    known = credit.known
    return None if known is None else {"seconds": known.seconds, "at": rfc3339(known.at)}
