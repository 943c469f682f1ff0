"""A journal that was lost, made again from the sidecars: in the order of time, each song once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from stemwatch.job import Identity, Job, JobState, Options
from stemwatch.journal.journal import Journal
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.operations.rebuild import rebuild
from stemwatch.outbox import sidecar
from stemwatch.outbox.sidecar import ResultFile

DELIVERED = JobState.DELIVERED
NOW = 1_800_000_000.0
DAY = 86_400.0
STEMS = [ResultFile("vocals", "song (Vocals).wav", "ab" * 32, 10)]
# Folders are read in an order of their own, which is neither of these.
SONGS = {f"song {n * 37 % 100:02}": NOW - n * DAY for n in range(1, 100)}


async def there() -> None:
    """The outbox's disk is there."""


def deliver(outbox: Path) -> None:
    for name, at in SONGS.items():
        (outbox / name).mkdir(parents=True)
        job = Job(
            id=1,
            state=JobState.SEPARATED,
            path=f"/inbox/{name}.mp3",
            relpath=f"{name}.mp3",
            identity=Identity(1, 2, 1000, 4),
            sha256="ab" * 32,
            content_key="k",
            options=Options(),
            outbox=str(outbox),
        )
        told = sidecar.build(job, STEMS, version="0.1.0", now=at)
        (outbox / name / f"{name}.stemwatch.json").write_text(json.dumps(told))


def test_its_history_is_in_the_order_in_which_songs_were_finished(tmp_path: Path) -> None:
    """`history` and the page; `--since` counts from then, too, and not from the rebuild."""
    outbox = tmp_path / "outbox"
    deliver(outbox)

    async def main() -> None:
        journal = Journal(str(tmp_path / "journal"), clock=lambda: NOW)
        for added in (len(SONGS), 0):
            assert await rebuild(journal, str(outbox), require=there) == added
        journal.close()
        reading = ReadOnlyJournal(str(tmp_path / "journal"))
        listed = await reading.ended(DELIVERED, limit=1000)
        week = await reading.ended(DELIVERED, since=NOW - 7 * DAY, limit=1000)
        page = await reading.with_stems(limit=1000)
        reading.close()
        assert [(one.job.name, one.at) for one in listed] == [
            (f"{name}.mp3", at) for name, at in SONGS.items()
        ]
        assert week == listed[:7]
        assert [job.id for job in page] == [one.job.id for one in listed]

    asyncio.run(main())


def test_an_original_that_stays_is_known_where_it_is(tmp_path: Path) -> None:
    """With what was made of it; a sidecar that somebody bent leads nowhere out of the inbox."""
    outbox = tmp_path / "outbox"
    deliver(outbox)
    bent = {"song 37": "/etc/shadow", "song 74": "../../x.mp3", "song 11": "..", "song 48": "a\0b"}
    for name in SONGS:
        path = outbox / name / f"{name}.stemwatch.json"
        told = json.loads(path.read_text())
        told["source"]["relpath"] = bent.get(name, f"Live/{name}.mp3")
        told["stems"].append({**told["stems"][0], "id": "low", "derived_from": ["drums", "bass"]})
        told["stem_file"] = {**told["stems"][0], "codec": "alac"}
        path.write_text(json.dumps(told))

    async def main() -> None:
        journal = Journal(str(tmp_path / "journal"), clock=lambda: NOW)
        await rebuild(journal, str(outbox), require=there, kept_in="/inbox")
        journal.close()
        reading = ReadOnlyJournal(str(tmp_path / "journal"))
        jobs = [one.job for one in await reading.ended(DELIVERED, limit=1000)]
        reading.close()
        paths = {Path(job.delivered_to or "").name: job.path for job in jobs}
        assert [paths.pop(name) for name in bent] == [
            *("/inbox/etc/shadow", "/inbox/x.mp3"),
            *(str(outbox / name / "?") for name in ("song 11", "song 48")),
        ]
        assert paths == {name: f"/inbox/Live/{name}.mp3" for name in paths}
        made = Options(2, "wav", {"low": ("drums", "bass")}, "alac")
        assert {repr(job.options) for job in jobs} == {repr(made)}

    asyncio.run(main())
