"""What the known jobs of a path or a content mean for a file that comes now."""

from __future__ import annotations

import os
import re

from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.inbox.reading import Same
from stemwatch.job import ACTIVE, Job, JobState

_SURROGATE = re.compile("[\ud800-\udfff]")


def may_be_there(path: str) -> bool:
    """False only if there is certainly no file at `path`: a stale mount's error proves nothing."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def is_still_here(job: Job) -> bool:
    """Whether the job's file belongs at its path.

    It does while the job is active, or is quarantined and its file was not moved, or not yet: a new
    job for that file would be paid for again.
    """
    waits = job.state is JobState.QUARANTINED and job.filed_to in (None, job.path)
    return job.state in ACTIVE or waits


def is_refused(other: Job, job: Job, same: Same) -> bool:
    """Whether `other`, a job at the path of `job`, has its very file, which waits to be moved."""
    waits = other.state is JobState.QUARANTINED and other.filed_to is None
    return waits and other.owner == job.owner and same(other.identity, job.identity)


def is_kept(job: Job) -> bool:
    """Whether the job is done and its original was left in the inbox."""
    return job.state is JobState.DONE and job.origin == "inbox" and job.filed_to is None


def covers(kept: Job, now: Job) -> bool:
    """Whether `kept` was made of the same bytes, tags included, and with all that `now` asks for.

    One that was read back from its sidecar covers its file whatever is asked for by now: nobody has
    seen that file since, and it need not have been touched.
    """
    if (kept.sha256, kept.content_key) != (now.sha256, now.content_key):
        return False
    made, asked = kept.options, now.options
    has_mixes = asked.mixes.items() <= made.mixes.items()
    has_stem_file = asked.stem_file in (None, made.stem_file)
    return kept.identity.unseen or (has_mixes and has_stem_file)


def readable(name: str) -> str:
    """`name` as a sidecar has it: bytes that are no UTF-8 become U+FFFD."""
    return _SURROGATE.sub("\ufffd", name)


def is_read_back(kept: Job, now: Job) -> bool:
    """Whether `kept` was read back from a sidecar, which has but the readable name of this file."""
    same = kept.identity.unseen and kept.relpath == readable(now.relpath)
    return same and kept.inbox == now.inbox and is_kept(kept) and covers(kept, now)


def undecided(quarantined: list[Job]) -> Reject | None:
    """The rejection for a content that may be paid for already and waits for a person; or None.

    `quarantined` are the jobs in quarantine with this content.
    """
    for other in quarantined:
        if other.remote_id is None and other.code != Code.SUBMISSION_UNCONFIRMED:
            continue
        if other.code == Code.SEPARATION_FAILED:
            continue  # it failed for certain: dropping the song again asks for another try
        return Reject(
            f"the same content is in quarantine as {other.name} ({other.code}), and may be "
            "paid for already.",
            code=Code.DUPLICATE_IN_QUARANTINE,
            hint=f"Decide about that one first: `stemwatch retry {other.id}`.",
        )
    return None
