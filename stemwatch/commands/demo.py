"""`stemwatch demo`: the whole service at work in a folder of its own, no key needed."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import tempfile
import time
from typing import TYPE_CHECKING, Any

import click

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.errors import StemwatchError
from stemwatch.extras import LOCAL
from stemwatch.job import FORMATS, STEMS, Job, JobState
from stemwatch.operations.demonstration import (
    LOG,
    OUTBOX,
    STATE,
    Demonstration,
    copy_to,
    is_over,
    patience,
    refuse_name,
)
from stemwatch.outbox import delivery, sidecar
from stemwatch.ui import text, tree
from stemwatch.ui.bars import Bars
from stemwatch.ui.song_row import cut
from stemwatch.workers import progress

if TYPE_CHECKING:
    from stemwatch.server.made_song import SongFacts

_FAILED, _QUARANTINED = 1, 3
_EVERY = 0.2  # seconds between two looks at the service
_NAME = "Demo Song.wav"


@click.command("demo")
@click.argument("song", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--dir", "folder", metavar="DIR", help="Where; else a new temporary folder.")
@click.option("--stems", default="2", show_default=True, type=click.Choice([*map(str, STEMS)]))
@click.option("--format", "format_", default="wav", show_default=True, type=click.Choice(FORMATS))
def command(song: str | None, folder: str | None, stems: str, format_: str) -> int:
    """Drop SONG, or a short made one, into a real service on this machine and show what comes out.

    The folder is kept, after Ctrl-C too; nothing is left running. Exits 0 only if the stems are
    there and valid, 3 if the song went to quarantine.
    """
    LOCAL.require()
    if song is not None and (fault := refuse_name(song)):
        raise click.UsageError(fault)
    folder = folder or tempfile.mkdtemp(prefix="stemwatch-demo-")
    demo = Demonstration(folder, stems=int(stems), format=format_)
    text.say(f"A service starts in {demo.folder}")
    began = time.time()
    try:
        with Bars() as bars, demo:
            job, facts = asyncio.run(_through(demo, song, began, bars))
    except StemwatchError:
        for line in demo.last_words():
            text.say(f"  {line}", err=True)
        raise
    except KeyboardInterrupt:
        for line in _kept(demo):
            text.say(line, err=True)
        raise
    return asyncio.run(_conclude(demo, job, facts))


def _kept(demo: Demonstration) -> list[str]:
    """Lines about what an interrupted demo leaves behind."""
    return [
        f"Stopped; nothing is running now. Kept in {demo.folder}: the song, what is done of it, "
        f"and the log ({LOG}).",
        f"`rm -r {shlex.quote(demo.folder)}` removes all of it.",
    ]


async def _through(
    demo: Demonstration, song: str | None, began: float, bars: Bars
) -> tuple[Job, SongFacts | None]:
    """Wait for the service, drop the song and follow it to its end.

    Returns its job, and the facts of the made song (None for a song of the user). Raises
    StemwatchError if the service ends or takes too long.
    """
    while not _is_up(demo, began):
        _require(demo, began, None)
        await asyncio.sleep(_EVERY)
    facts: list[SongFacts] = []

    def make(path: str) -> None:
        from stemwatch.server.made_song import write_demo_song

        facts.append(write_demo_song(path))

    name = os.path.basename(song) if song is not None else _NAME
    since = time.time()
    try:
        path = demo.drop(name, copy_to(song) if song is not None else make)
    except OSError as fault:
        raise StemwatchError(f"The song can't be dropped: {fault}.") from fault
    bars.tell(f"Dropped: {path}")
    job: Job | None = None
    while job is None or not is_over(job):
        _require(demo, since, job)
        await asyncio.sleep(_EVERY)
        seen = progress.read(demo.state) or {}
        bars.update(seen.get("running", []), 0, 1)
        job = await demo.job_at(path, since)
    return job, facts[0] if facts else None


def _is_up(demo: Demonstration, began: float) -> bool:
    seen = progress.read(demo.state) or {}
    return float(seen.get("started_at") or 0.0) >= began


def _require(demo: Demonstration, since: float, job: Job | None) -> None:
    demo.require_alive()
    if time.time() - since > patience(job):
        raise StemwatchError("Nothing came in time; above is what the service said last.")


async def _conclude(demo: Demonstration, job: Job, facts: SongFacts | None) -> int:
    """Check and show the results; returns the exit code."""
    where = ""
    try:
        if job.state is not JobState.DONE or job.delivered_to is None:
            text.say(f"{job.name}: {job.state}. {job.message or ''} {job.hint or ''}", err=True)
            if job.state is JobState.QUARANTINED and job.filed_to:
                where = f"The song is in {job.filed_to}"
            return _QUARANTINED if job.state is JobState.QUARANTINED else _FAILED
        found = await _verified(job, job.delivered_to)
        _show(demo, job.delivered_to, found, facts)
        where = f"The stems are in {os.path.join(demo.folder, OUTBOX)}"
        return 0
    finally:
        unicode = text.speaks_unicode()
        for line in tree.lines(demo.folder, closed={STATE}, unicode=unicode):
            text.say(line)
        if where:
            text.say(where)
        text.say(f"The service's log is {os.path.join(demo.folder, LOG)}; nothing is running now.")


async def _verified(job: Job, folder: str) -> dict[str, Any]:
    """Check that all stems have their sidecar's hashes and decode to the song's length.

    Returns the sidecar. Raises StemwatchError otherwise.
    """
    found = await asyncio.to_thread(delivery.verify_folder, folder)
    audio = AudioHelper()
    try:
        for stem in sidecar.result_files(found):
            path = os.path.join(folder, stem.file)
            await audio.verify(path, job.duration, job.options.format)
    finally:
        await audio.close()
    return found


def _show(demo: Demonstration, folder: str, found: dict[str, Any], facts: SongFacts | None) -> None:
    path = sidecar.locate(folder) or folder
    text.say(f"{os.path.relpath(path, demo.folder)}, a line for each key:")
    for line in _in_short(found):
        text.say(f"  {line}")
    key = (found.get("key") or {}).get("raw")
    tempo = "unknown" if found.get("bpm") is None else f"{found['bpm']:.1f} BPM"
    known = f"   (made with {facts.bpm:.1f} BPM, {facts.key})" if facts is not None else ""
    text.say(f"Found: {tempo}, {key or 'key unknown'}{known}")
    text.say(f"{len(found['stems'])} stems are there, whole, and decode. A preview's quality.")


def _in_short(found: dict[str, Any]) -> list[str]:
    """A sidecar's keys, one per line, cut at the terminal's width: in full it has fifty lines."""
    width = text.console().width - 2 if text.on_terminal() else None
    lines = [f'"{name}": {json.dumps(value, ensure_ascii=False)}' for name, value in found.items()]
    if width is None:
        return lines
    return [cut(line, width, unicode=text.speaks_unicode()) for line in lines]
