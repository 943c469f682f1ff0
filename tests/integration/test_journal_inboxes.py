"""One journal for several inboxes: whose songs, whose minutes, and what became of a renamed one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from stemwatch.job import MAY_BE_CHARGED, Job, JobState
from stemwatch.journal.journal import Journal, Limit, OverBudget
from tests.support.journal import new_job

Scenario = Callable[[Journal], Awaitable[None]]


def run(tmp_path: Path, scenario: Scenario) -> None:
    async def whole() -> None:
        journal = Journal(str(tmp_path / "journal"), clock=lambda: 1000.0)
        try:
            await scenario(journal)
        finally:
            journal.close()

    asyncio.run(whole())


async def intend(journal: Journal, job: Job, *limits: Limit) -> Job:
    return await journal.intend(
        job, idempotency_key=f"key-{job.id}", minutes=1.0, price=0.1, limits=limits
    )


def test_songs_are_claimed_by_inbox(tmp_path: Path) -> None:
    """Of one, of several, of all; null is the only one's."""

    async def scenario(journal: Journal) -> None:
        for number, inbox in enumerate((None, "dj", "karaoke")):
            await journal.add(new_job(number, inbox=inbox))
        await journal.add(new_job(9, inbox="split's own", owner="split-1"))

        async def claimed(*inboxes: str | None) -> list[str | None]:
            jobs = await journal.claim(
                (JobState.QUEUED,), now=2000.0, owner=None, limit=9, inboxes=inboxes
            )
            return [job.inbox for job in jobs]

        assert await claimed() == [None, "dj", "karaoke"]
        assert await claimed(None) == [None]
        assert await claimed("karaoke") == ["karaoke"]
        assert await claimed(None, "dj") == [None, "dj"]
        assert set(await journal.inboxes()) == {
            (inbox, "/outbox") for inbox in (None, "dj", "karaoke")
        }

    run(tmp_path, scenario)


def test_each_inbox_has_its_own_minutes_beside_those_of_all(tmp_path: Path) -> None:
    """An intent has to stay within both; what one spends is not taken from the other's own."""

    async def scenario(journal: Journal) -> None:
        dj, karaoke = [
            [await journal.add(new_job(10 * n + i, inbox=name)) for i in range(3)]
            for n, name in enumerate(("dj", "karaoke"))
        ]
        of_dj, of_karaoke, of_all = Limit(0.0, 1.0, "dj"), Limit(0.0, 2.0, "karaoke"), Limit(0.0, 2)
        await intend(journal, dj[0], of_dj, of_all)
        with pytest.raises(OverBudget):
            await intend(journal, dj[1], of_dj, of_all)
        await intend(journal, karaoke[0], of_karaoke, of_all)
        with pytest.raises(OverBudget):
            await intend(journal, karaoke[1], of_karaoke, of_all)
        assert await journal.spent(0.0, "dj") == (1.0, pytest.approx(0.1))
        assert (await journal.spent(0.0))[0] == 2.0
        assert (await journal.spent(1001.0, "dj"))[0] == 0.0

    run(tmp_path, scenario)


def test_what_has_not_ended_follows_its_outbox(tmp_path: Path) -> None:
    """An inbox that is renamed, or made of the short form, keeps its songs; history stays."""

    async def scenario(journal: Journal) -> None:
        mine = await journal.add(new_job(1, outbox="/srv/dj"))
        split = await journal.add(new_job(2, outbox="/srv/dj", origin="split"))
        other = await journal.add(new_job(3, outbox="/srv/other", state=JobState.SEPARATED))
        done = await journal.add(new_job(4, outbox="/srv/dj", state=JobState.DONE))

        async def whose() -> list[str | None]:
            found = [await journal.get(job.id) for job in (mine, split, other, done)]
            return [job.inbox for job in found if job]

        await journal.sort_in({"/srv/dj": "dj"})
        assert await whose() == ["dj", None, "", None]
        await journal.sort_in({"/srv/dj": "disco", "/srv/k": "karaoke"})
        assert await whose() == ["disco", None, "", None]
        await journal.sort_in({"/srv/other": None})  # the short form again, of another's folders
        assert await whose() == ["disco", None, None, None]

    run(tmp_path, scenario)


def test_what_waits_in_an_inbox_that_is_not_there_any_more_is_let_go(tmp_path: Path) -> None:
    """Its budget and hours went with it. What is paid for, and what `split` handed in, stays."""

    async def scenario(journal: Journal) -> None:
        of_dj = {"inbox": "dj", "outbox": "/srv/dj"}
        waits = [await journal.add(new_job(n, **of_dj, path=f"/dj/{n}")) for n in range(2)]
        stays = [
            await journal.add(new_job(10 + n, **job))
            for n, job in enumerate(
                (
                    *({**of_dj, "state": state} for state in MAY_BE_CHARGED),
                    {**of_dj, "state": JobState.QUARANTINED},
                    {"outbox": "/srv/k"},
                    {"outbox": "/srv/dj", "origin": "split"},
                    {**of_dj, "owner": "split-1", "origin": "split"},
                )
            )
        ]
        gone = await journal.sort_in({"/srv/k": "karaoke"})
        assert [job.id for job in gone] == [job.id for job in waits]
        found = [await journal.get(job.id) for job in (*waits, *stays)]
        assert [job.state for job in found if job] == [
            *(JobState.GONE for _ in waits),
            *(job.state for job in stays),
        ]
        assert await journal.known([job.path for job in waits]) == {}  # a scan takes them in anew
        assert await journal.sort_in({"/srv/k": "karaoke"}) == []

    run(tmp_path, scenario)
