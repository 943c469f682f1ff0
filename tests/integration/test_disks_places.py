"""Disks that are away, told from folders that are empty; real folders, no mounts needed."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from stemwatch.disks.hanging import Reach
from stemwatch.disks.places import Anchor, Place, top_of
from stemwatch.errors import PauseService
from stemwatch.inbox.names import Filter
from stemwatch.inbox.scan import Offline, scan
from stemwatch.journal.journal import Journal


def looked(path: Path) -> Anchor:
    anchor = Anchor(str(path))
    assert anchor.holds()
    return anchor


def test_an_empty_folder_whose_disk_was_deeper_is_awaited(tmp_path: Path) -> None:
    """An earlier run knew a disk mounted here; now there is the bare mount point."""
    anchor = looked(tmp_path)
    anchor.recall(f"{(anchor.device or 0) + 1} {tmp_path}")
    assert not anchor.holds()
    assert anchor.top == str(tmp_path)


@pytest.mark.parametrize("case", ["the same disk", "not empty", "not deeper", "elsewhere"])
def test_what_is_no_sign_of_an_absent_disk(tmp_path: Path, case: str) -> None:
    """Bind mounts of the same disk come and go; a file says that the folder is meant."""
    anchor = looked(tmp_path)
    device, top = (anchor.device or 0) + 1, str(tmp_path)
    if case == "the same disk":
        device -= 1
    elif case == "not empty":
        (tmp_path / "a file").touch()
    elif case == "not deeper":
        top = anchor.top
    else:
        top = f"{tmp_path}-and-more"
    anchor.recall(f"{device} {top}")
    assert anchor.holds()


def test_a_missing_folder_is_awaited_until_it_is_there(tmp_path: Path) -> None:
    """A full disk may keep the service from making it: no reason to end."""
    anchor = Anchor(str(tmp_path / "outbox"))
    assert not anchor.holds()
    (tmp_path / "outbox").mkdir()
    assert anchor.holds()
    assert anchor.top == top_of(str(tmp_path))


def test_what_one_run_saw_the_next_one_is_told(tmp_path: Path) -> None:
    """Over the journal, also for folders whose names are not UTF-8."""
    outbox = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"out\xff"))
    os.mkdir(outbox)

    async def scenario() -> None:
        journal = Journal(str(tmp_path / "journal.sqlite3"))
        first = Place(outbox=outbox, anchors={outbox: Anchor(outbox)})
        await first.recall(journal)
        await first.demand_results()
        seen = first.anchors[outbox]
        seen.device, seen.top = (seen.device or 0) + 1, outbox  # as if it were a disk of its own
        await journal.note(f"disk of {_quoted(outbox)}", _quoted(seen.fact))
        second = Place(outbox=outbox, anchors={outbox: Anchor(outbox)})
        await second.recall(journal)
        with pytest.raises(PauseService, match="is not mounted"):
            await second.demand_results()
        journal.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES])
def test_an_inbox_that_can_not_be_listed_is_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Its `stat` works all the time: so a cached mount answers for a server that hangs."""
    inbox = str(tmp_path)

    def refused(path: str) -> None:
        raise OSError(code, os.strerror(code), path)

    async def scenario() -> None:
        place = Place(outbox=inbox, inbox=inbox, anchors={inbox: looked(tmp_path)})
        await place.require_inbox()
        with monkeypatch.context() as away:
            away.setattr(os, "scandir", refused)
            with pytest.raises(PauseService, match=f"can't be listed: {os.strerror(code)}") as told:
                await place.require_inbox()
            with pytest.raises(Offline, match=os.strerror(code)):
                list(scan(inbox, Filter(["wav"])))
        assert told.value.code == "inbox"
        await place.require_inbox()

    asyncio.run(scenario())


def test_a_disk_that_hangs_is_recalled_once_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it counts as away, and holds up neither the start nor the other folders."""
    inbox, outbox = (str(tmp_path / name) for name in ("inbox", "outbox"))
    back, status = threading.Event(), os.stat

    def hangs(path: str, **more: Any) -> os.stat_result:
        if path == inbox:
            back.wait(30)
        return status(path, **more)

    async def scenario() -> None:
        journal = Journal(str(tmp_path / "journal.sqlite3"))
        place = Place(outbox, inbox, anchors={path: Anchor(path) for path in (inbox, outbox)})
        place.unrecalled.update(place.anchors)
        place.reach = Reach(0.02)
        monkeypatch.setattr(os, "stat", hangs)
        code = ""
        while code != "inbox":  # a starved machine may be too slow for the other one
            with pytest.raises(PauseService, match="does not answer") as told:
                await place.recall(journal)
            code = told.value.code
        place.reach = Reach()
        await place.demand_results()
        back.set()
        with pytest.raises(PauseService, match="is not there"):
            await place.require_inbox()
        await place.recall(journal)
        await place.require_inbox()
        journal.close()

    os.mkdir(inbox)
    os.mkdir(outbox)
    asyncio.run(scenario())


def test_an_inbox_whose_listing_hangs_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, back = str(tmp_path), threading.Event()
    listing = os.scandir

    def hangs(path: str) -> object:
        back.wait(30)
        return listing(path)

    async def scenario() -> None:
        place = Place(outbox=inbox, inbox=inbox, anchors={inbox: looked(tmp_path)})
        place.reach = Reach(0.02)
        monkeypatch.setattr(os, "scandir", hangs)
        for _ in range(2):
            with pytest.raises(PauseService, match="does not answer"):
                await place.require_inbox()
        back.set()
        async with asyncio.timeout(30):
            while True:
                with suppress(PauseService):
                    await place.require_inbox()
                    return
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, errors="surrogateescape")
