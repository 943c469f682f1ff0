"""What the pool asks at every turn costs the same after years of songs, and with a full inbox."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stemwatch.job import JobState
from stemwatch.journal import schema, transactions
from stemwatch.journal.journal import Journal
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.service.systemd import Manager
from stemwatch.workers.context import Context
from tests.support.clocked import in_context, vital
from tests.support.journal import new_job
from tests.support.waiting import Clock

ROWS = 5000
STEPS = 1000  # of SQLite's virtual machine; a look at every row takes more than ROWS of them

ASKED: dict[str, Callable[[Journal], Awaitable[Any]]] = {
    "file": lambda j: j.claim(
        (JobState.DELIVERED, JobState.QUARANTINED), now=1e17, latest=1e18, owner=None, limit=2
    ),
    "fetch": lambda j: j.claim((JobState.SEPARATED,), now=1e17, latest=1e18, owner=None, limit=3),
    "submit": lambda j: j.claim((JobState.QUEUED,), now=1e17, latest=1e18, owner=None, limit=3),
    "submit of the only one": lambda j: j.claim(
        (JobState.QUEUED,), now=1e17, latest=1e18, owner=None, limit=3, inboxes=[None]
    ),
    "submit of another": lambda j: j.claim(
        (JobState.QUEUED,), now=1e17, latest=1e18, owner=None, limit=3, inboxes=["dj"]
    ),
    "submit beside others": lambda j: j.claim(
        (JobState.QUEUED,),
        now=1e17,
        latest=1e18,
        owner=None,
        limit=3,
        busy=range(20),
        busy_content=[f"other {number}" for number in range(20)],
    ),
    "submit, not unpack": lambda j: j.claim(
        (JobState.QUEUED,), now=1e17, latest=1e18, owner=None, limit=3, at_hand=False
    ),
    "unpack": lambda j: j.claim(
        (JobState.QUEUED,), now=1e17, latest=1e18, owner=None, limit=3, at_hand=True
    ),
    "unpack of one inbox": lambda j: j.claim(
        (JobState.QUEUED,), now=1e17, latest=1e18, owner=None, limit=3, at_hand=True, inboxes=["dj"]
    ),
    "next due": lambda j: j.next_due((JobState.QUEUED, JobState.SEPARATED), None, time.time()),
    "adopt": lambda j: j.claim(
        (JobState.SEPARATING,), now=float("inf"), owner=None, limit=1000, busy=range(10)
    ),
}


@pytest.mark.parametrize("state", ["done", "queued"])
def test_no_question_of_a_turn_looks_at_every_row(tmp_path: Path, state: str) -> None:
    """Neither the songs that are done nor those that wait are walked through."""

    async def steps() -> dict[str, int]:
        journal = Journal(str(tmp_path / "journal"))
        added = await journal.add(new_job())
        with sqlite3.connect(journal.path) as db:
            columns = [row[1] for row in db.execute("PRAGMA table_info(jobs)")]
            kept = ", ".join({"id": "NULL", "state": "?"}.get(name, name) for name in columns)
            copy = f"INSERT INTO jobs SELECT {kept} FROM jobs WHERE id = ?"
            db.executemany(copy, [(state, added.id)] * ROWS)
        db.close()
        taken = {}
        for name, ask in ASKED.items():
            ticks: list[None] = []
            # None: a truthy answer would interrupt the query
            journal._reader.connection.set_progress_handler(
                lambda t=ticks: t.append(None), STEPS // 10
            )
            await ask(journal)
            taken[name] = len(ticks) * STEPS // 10
        journal.close()
        return taken

    taken = asyncio.run(steps())
    assert {name: count for name, count in taken.items() if count > STEPS} == {}


def test_a_transition_builds_no_table_and_writes_few_indexes(tmp_path: Path) -> None:
    """SQLite makes a table of each longer IN list, in a CHECK or a partial index, at each row."""
    path = str(tmp_path / "journal")
    schema.prepare(path)
    asked: list[str] = []
    with closing(schema.connect(path)) as db:
        job = transactions.add(db, new_job(), 5.0)
        db.set_trace_callback(asked.append)
        transactions.advance(db, job, JobState.SUBMITTING, "", {}, 6.0)
        db.set_trace_callback(None)
        steps = [row["opcode"] for sql in asked for row in db.execute(f"EXPLAIN {sql}")]
    assert len(asked) == 2  # an UPDATE and a history row
    assert "OpenEphemeral" not in steps
    # to claim, due, of its inbox, paid once, at hand, done, archived; and the history by job
    assert steps.count("IdxInsert") == 8


def planned(journal: Journal, asked: list[str]) -> list[str]:
    """SQLite's plan for each of these questions, line by line."""
    with closing(schema.connect(journal.path)) as db:
        return [row["detail"] for sql in asked for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]


def reads_all(plan: str) -> bool:
    """Whether it walks through what is done, or sorts what it has found."""
    if "TEMP B-TREE" in plan or "PRIMARY KEY (rowid>" in plan:
        return True
    return plan.startswith("SCAN jobs") and "jobs_to_claim" not in plan


def test_a_tick_of_the_status_line_reads_nothing_that_is_long_done(tmp_path: Path) -> None:
    """It comes every two seconds, on the one thread that finds the pool its next songs."""

    async def tick(ctx: Context, _: Clock) -> None:
        manager = Manager(ctx, vital(ctx), {"NOTIFY_SOCKET": address})
        asked: list[str] = []
        ctx.journal._reader.connection.set_trace_callback(asked.append)
        assert await manager.tick(under_way=True)
        ctx.journal._reader.connection.set_trace_callback(None)
        plans = planned(ctx.journal, asked)
        assert len(plans) == 2
        assert [plan for plan in plans if reads_all(plan)] == []

    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        in_context(tmp_path, tick)


NOW_AND_THEN: dict[str, Callable[[ReadOnlyJournal], Awaitable[Any]]] = {
    "the verdict's count": lambda j: j.active(own=True),
    "quarantined since": lambda j: j.changed_since(JobState.QUARANTINED, 5.0),
    "held by the budget": lambda j: j.held_by_budget(60.0, "dj"),
    "archived": lambda j: j.archived(before=5.0),
}


@pytest.mark.parametrize("name", NOW_AND_THEN)
def test_what_is_asked_now_and_then_has_its_index_too(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / "journal")
    schema.prepare(path)
    asked: list[str] = []
    with closing(ReadOnlyJournal(path)) as journal:
        journal._reader.connection.set_trace_callback(asked.append)
        asyncio.run(NOW_AND_THEN[name](journal))
        journal._reader.connection.set_trace_callback(None)
        assert [plan for plan in planned(journal, asked) if reads_all(plan)] == []
        assert asked
