"""How a song's folder and its stems are called: patterns filled in with tags and measured facts.

The tags are read once and kept in the journal. So a restart after a kill finds a folder that was
published just before, also where the original is gone by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stemwatch import patterns
from stemwatch.job import Job
from stemwatch.log import log
from stemwatch.musical_keys import parse_key
from stemwatch.outbox import naming
from stemwatch.outbox.naming import StemNames
from stemwatch.song_kinds import without_suffix
from stemwatch.workers.context import Context
from stemwatch.workers.steps.finishing import own_tags

_ID3_NAMES = {"track": "tracknumber", "year": "date"}  # where ours differ from a tag's own name


async def with_tags(ctx: Context, job: Job) -> Job:
    """The job with the song's tags, where the names need them; they are committed to the journal.

    What can't be read counts as missing: a name is no reason to hold up stems that are paid for.
    """
    if job.song_tags is not None or not _patterns(ctx, job).need_tags:
        return job
    found, note = await own_tags.read(ctx, job)
    if note is not None:
        log.info("job.names", **job.named, note=f"its tags can't be read: {note}")
    # The tries that tags took are none of the stems', which are paid for.
    told = {"song_tags": _told(found), "attempts": 0}
    return await ctx.journal.amend(job, **told, updated_at=job.updated_at)


def song_of(ctx: Context, job: Job) -> str:
    """The name of the job's folder, before any suffix against clashes."""
    given = patterns.fill(_patterns(ctx, job).name, _facts(job))
    return naming.song_name(job.name) if given is None else naming.folder_name(given)


def stems_of(ctx: Context, job: Job) -> StemNames:
    """What the names of its stems are made of."""
    return StemNames(_patterns(ctx, job).stem_name, _facts(job))


def _patterns(ctx: Context, job: Job) -> patterns.ResultNames:
    return ctx.names.get(job.inbox) or patterns.ResultNames()


def _told(found: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The tags that a pattern may use, one line each."""
    told = {}
    for field in patterns.TAGS:
        values = found.get(_ID3_NAMES.get(field, field), ())
        text = ", ".join(values) if field in ("artist", "albumartist") else "".join(values[:1])
        if text := " ".join(text.split()):
            told[field] = text
    return told


def _facts(job: Job) -> dict[str, str | None]:
    tags = job.song_tags or {}
    key = parse_key(job.key) or {}
    tonic, mode = key.get("tonic"), key.get("mode")
    year = tags.get("year", "")[:4]
    return {
        **tags,
        "name": without_suffix(job.name),
        "track": _track(tags.get("track", "")),
        "year": year if len(year) == 4 and year.isdecimal() else None,
        "bpm": None if job.bpm is None else f"{job.bpm:.0f}",
        "key": f"{tonic} {mode}" if tonic and mode else key.get("raw"),
        "camelot": key.get("camelot"),
        "stems": str(job.options.stems),
        "format": job.options.format,
    }


def _track(text: str) -> str:
    """`03` for "3", "3/12" and "03 of 12", so that names sort."""
    number = text.partition("/")[0].split(" ")[0]
    return f"{int(number):02d}" if number.isascii() and number.isdecimal() else text
