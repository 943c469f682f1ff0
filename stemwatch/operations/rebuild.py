"""Rebuilds a lost journal from the sidecars, so that nothing delivered is paid for twice."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

from stemwatch.disks.patience import patiently
from stemwatch.heard import Heard
from stemwatch.job import AT_HAND, Identity, Job, JobState, Options, content_key
from stemwatch.journal.journal import Journal
from stemwatch.log import log
from stemwatch.outbox import sidecar
from stemwatch.outbox.staged_stem_file import of_sidecar

_FACT = "rebuilt"
_SLICE = 64


async def rebuild(
    journal: Journal,
    outbox: str,
    *,
    require: Callable[[], Awaitable[None]],
    inbox: str | None = None,
    kept_in: str | None = None,
) -> int:
    """Add every unknown delivery in `outbox` to the journal; returns how many were added.

    It is done once in a journal's life, and again if it was killed in the middle. With several
    inboxes it is done once for each outbox, so that several services can be merged into one.
    `kept_in` is the inbox in which originals stay: they are known there, and not delivered again.
    `require` is awaited before, and while a slow disk is read. Raises what it raises, and
    PauseService if the outbox can't be read.
    """
    done = _FACT if inbox is None else f"{_FACT} {quote(outbox, errors='surrogateescape')}"
    if await journal.fact(done) is not None:
        return 0
    await require()
    found = sidecar.find(
        outbox, on_fault=lambda fault: log.warning("sidecar.unreadable", message=fault.message)
    )
    jobs: list[Job] = []
    while slice_ := await patiently(require, lambda: list(islice(found, _SLICE))):
        jobs += [_job(*one, outbox, inbox, kept_in) for one in slice_]
    # `history` and the page show them as they were added. One without a time is of now.
    jobs.sort(key=lambda job: job.created_at or math.inf)
    added = 0
    for start in range(0, len(jobs), _SLICE):
        added += await _add(journal, jobs[start : start + _SLICE])
    await journal.note(done, str(added))
    if added:
        log.info("journal.rebuilt", deliveries=added, outbox=outbox)
    return added


async def _add(journal: Journal, jobs: Sequence[Job]) -> int:
    """Add those that are unknown, in their order; returns how many they are."""
    known = await asyncio.gather(*(_is_known(journal, job) for job in jobs))
    new = [job for job, is_known in zip(jobs, known, strict=True) if not is_known]
    await asyncio.gather(*(journal.add(job) for job in new))
    return len(new)


async def _is_known(journal: Journal, job: Job) -> bool:
    earlier = await journal.with_content(job.content_key, (JobState.DONE,))
    return any(other.delivered_to == job.delivered_to for other in earlier)


def _job(
    folder: str, content: dict[str, Any], outbox: str, inbox: str | None, kept_in: str | None
) -> Job:
    source, separation = content["source"], content["separation"]
    options = _options(content)
    # Stems of the built-in engine are a preview: they must not be reused as paid stems.
    local = separation.get("engine") == "spectral"
    key = content.get("key") or {}
    uploaded = separation.get("uploaded") or {}
    size, audio = source.get("bytes"), source.get("audio_sha256")
    return Job(
        id=0,
        state=JobState.DONE,
        path=_path(folder, source["relpath"], kept_in),
        relpath=source["relpath"],
        identity=Identity(0, 0, size if isinstance(size, int) else 0, 0),
        sha256=source["sha256"],
        audio_sha256=audio,
        content_key=content_key(
            audio or source["sha256"],
            options,
            local=local,
            at_hand=separation.get("engine") == AT_HAND,
        ),
        options=options,
        outbox=outbox,
        inbox=inbox,
        duration=content.get("duration_seconds"),
        remote_id=separation.get("job_id"),
        engine=separation.get("engine"),
        model=separation.get("model"),
        model_sha256=separation.get("model_sha256"),
        uploaded_codec=uploaded.get("codec"),
        uploaded_bytes=uploaded.get("bytes"),
        bpm=content.get("bpm"),
        key=key.get("raw") if isinstance(key.get("raw"), str) else None,
        heard=Heard.of(content),
        submitted_at=sidecar.unix(separation.get("submitted_at")),
        completed_at=sidecar.unix(separation.get("completed_at")),
        delivered_to=folder,
        created_at=sidecar.unix(content.get("created_at")) or 0.0,
    )


def _path(folder: str, relpath: str, kept_in: str | None) -> str:
    """Where the original stays; where it went otherwise is not in the sidecar."""
    below = [part for part in relpath.split("/") if part not in ("", ".", "..")]
    if kept_in is None or not below or "\0" in relpath:
        return os.path.join(folder, "?")
    return os.path.join(kept_in, *below)


def _options(content: dict[str, Any]) -> Options:
    stems = sidecar.result_files(content)
    mixes = {stem.id: stem.derived_from for stem in stems if stem.derived_from is not None}
    stem_file, separation = of_sidecar(content), content["separation"]
    codec = None if stem_file is None else stem_file.codec
    return Options(separation["stems"], separation["format"], mixes, codec)
