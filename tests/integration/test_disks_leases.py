"""Who has a file open for writing: the kernel tells, and no writer is hurt by the question."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stemwatch.disks.leases import is_written
from stemwatch.disks.opening import StillOpen, open_regular, sample
from stemwatch.inbox.watcher import Watcher
from tests.support.waiting import wait_for, wait_for_async

_OPENS_OFTEN = """
import sys
for number in range(3000):
    with open(sys.argv[1], "ab") as file:
        file.write(b".")
print("done")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"song")
    return path


def test_writers_are_seen_and_readers_are_not(path: Path) -> None:
    fd = open_regular(os.fspath(path))
    try:
        with path.open("rb"):
            assert is_written(fd) is False
        with path.open("ab"), path.open("rb"):
            assert is_written(fd) is True
        assert is_written(fd) is False
    finally:
        os.close(fd)


def test_asking_stops_no_writer_and_ends_nobody(path: Path) -> None:
    """Each `open` that meets the lease waits for its end; its signal is ignored."""
    answers, done = set(), threading.Event()

    def ask() -> None:
        while not done.is_set():
            fd = open_regular(os.fspath(path))
            answers.add(is_written(fd))
            os.close(fd)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        written = subprocess.run(
            [sys.executable, "-c", _OPENS_OFTEN, os.fspath(path)],
            timeout=60, check=True, capture_output=True, text=True,
        )  # fmt: skip
        wait_for(lambda: False in answers)
    finally:
        done.set()
        asking.join()
    assert written.stdout == "done\n"
    assert path.stat().st_size == 4 + 3000


def test_the_kernel_is_believed_before_any_guess(path: Path) -> None:
    """Not where it can, nor where nobody asks."""
    asked: list[tuple[str, int]] = []

    def guess(path: str, links: int) -> bool:
        asked.append((path, links))
        return True

    assert sample(os.fspath(path), guess) is not None
    assert asked == []
    with path.open("ab"), pytest.raises(StillOpen) as fault:
        sample(os.fspath(path), guess)
    assert fault.value.identity.size == 4
    with path.open("ab"):
        assert sample(os.fspath(path)) is not None  # nobody asks on a network mount


def test_the_watcher_knows_what_its_creator_has_open(tmp_path: Path) -> None:
    """Not so what was moved or linked here: nobody will close that."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    source = tmp_path / "source.mp3"
    source.write_bytes(b"song")

    async def scene() -> None:
        watcher = Watcher(
            os.fspath(inbox), mode="inotify", loop=asyncio.get_running_loop(), wake=lambda: None
        )
        await watcher.start()
        try:
            created, linked, moved = (inbox / f"{n}.mp3" for n in ("created", "linked", "moved"))
            with created.open("wb"):
                os.link(source, linked)
                os.rename(source, moved)
                await wait_for_async(lambda: watcher.still_open(os.fspath(created), 1))
                assert not watcher.still_open(os.fspath(linked), linked.stat().st_nlink)
                assert not watcher.still_open(os.fspath(moved), 1)
            await wait_for_async(lambda: not watcher.still_open(os.fspath(created), 1))
        finally:
            await watcher.stop()

    asyncio.run(scene())
