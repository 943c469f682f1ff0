"""`check` and `status` while disks hang: these are named, and everything else is told."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from stemwatch import config
from stemwatch.config import Settings
from stemwatch.disks.hanging import Reach
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.operations.check.everything import check
from stemwatch.operations.check.finding import FAULT, Finding
from stemwatch.operations.standing.not_taken import _DISKS, not_taken
from stemwatch.operations.status import Document, standing
from tests.faults.exports import SFTP_MOUNT, hung, why_no_shares
from tests.support.commands import Home
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(
    why_no_shares(*SFTP_MOUNT) is not None, reason=str(why_no_shares(*SFTP_MOUNT))
)
NAMES = ("inbox", "outbox", "quarantine", "archive")
PATIENCE = 0.3  # seconds
T = TypeVar("T")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """That of two people, with the folders of each below `people`."""
    home = Home(tmp_path)
    inboxes = {
        who: {"folders": {name: f"people/{who}/{name}" for name in NAMES}}
        for who in ("dj", "karaoke")
    }
    home.config.write_text(f"state_dir: state\napi: {{base_url: local}}\ninboxes: {inboxes}\n")
    return home


def begun(
    home: Home, work: Callable[[Settings], Coroutine[Any, Any, T]], patience: float = PATIENCE
) -> list[T]:
    """Begin `work` in a thread, as what waits in a share can't be stopped; its result comes."""
    done: list[T] = []

    def run() -> None:
        settings = config.load(str(home.config), env={}, patience=patience)
        done.append(asyncio.run(work(settings)))

    threading.Thread(target=run, daemon=True).start()
    return done


def test_check_names_the_folders_that_hang_and_looks_at_the_rest(home: Home) -> None:
    patience = 3.0  # seconds: the rest has to answer in them, on a busy machine, too
    people = home.root / "people"
    (people / "dj" / "inbox").mkdir(parents=True)

    async def look(settings: Settings) -> list[Finding]:
        return await check(settings, {}, str(home.root), patience=patience)

    with hung(people / "karaoke", home.root / "there"):
        done = begun(home, look, patience)
        wait_for(lambda: done, what="the findings")
    (found,) = done
    told = [one.text for one in found]
    assert told[:4] == [
        f"inboxes.karaoke.folders.{name}: {people}/karaoke/{name} does not answer" for name in NAMES
    ]
    assert [one for one in found if one.level == FAULT] == found[:4]
    for subject in ("dj.folders", "dj.folders.outbox"):
        assert any(text.startswith(f"inboxes.{subject}: ") for text in told), subject
    for subject in ("audio", "clock", "watching", "state_dir", "journal", "service"):
        assert any(text.startswith(f"{subject}: ") for text in told), subject


def test_status_waits_for_several_disks_at_once(home: Home) -> None:
    """In turn, the first would have been given up before the second was asked."""
    there = home.root / "there"
    for who in ("dj", "karaoke"):
        (there / who / "inbox").mkdir(parents=True)

    async def look(settings: Settings) -> Document:
        return await standing(settings, time.time())

    def under_way() -> int:
        return sum(not asked.answer.done() for asked in list(_DISKS._asked.values()))

    with hung(home.root / "people", there) as share:
        done = begun(home, look)
        wait_for(lambda: under_way() == 2, what="two looks")
        share.thaw()
        wait_for(lambda: done, what="the document")
    (document,) = done
    assert [inbox["waits"]["fault"] for inbox in document["inboxes"]] == [None, None]


def test_a_disk_that_still_hangs_costs_the_next_look_no_thread(home: Home) -> None:
    """`status --watch` looks every few seconds, for days."""
    disks = Reach(PATIENCE)

    async def look(settings: Settings) -> Document:
        journal = ReadOnlyJournal(str(home.database))
        try:
            return await not_taken(settings, settings.every_inbox[0], journal, time.time(), disks)
        finally:
            journal.close()

    with hung(home.root / "people" / "dj", home.root / "there"):
        first = begun(home, look)
        wait_for(lambda: first, what="the document")
        before = _looks()
        second = begun(home, look)
        wait_for(lambda: second, what="the next document")
        assert _looks() == before
    assert "did not answer" in first[0]["fault"]
    assert first == second


def _looks() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "reach"}
