"""What lies in an inbox and is not taken, as `status` finds it, with and without a service."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from stemwatch import config
from stemwatch.job import Identity
from stemwatch.operations.status import standing
from tests.acceptance.songs import wav_bytes
from tests.support.commands import Home, a_job
from tests.support.waiting import wait_for

SONG = wav_bytes(1)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def put(path: Path, content: bytes = SONG) -> Path:
    """A file, as it is whole at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def settled(home: Home) -> None:
    """What is there now stands still for long enough."""
    home.config.write_text(home.config.read_text() + "watch: {settle_seconds: 0.05}\n")
    newest = max(path.lstat().st_ctime for path in home.inbox.rglob("*"))
    wait_for(lambda: time.time() - newest > 0.05)


def waits(home: Home) -> dict[str, Any]:
    document = json.loads(home.run("status", "--json").stdout)
    found: dict[str, Any] = document["inboxes"][0]["waits"]
    return found


def reasons(home: Home) -> dict[str, str]:
    return {one["relpath"]: one["reason"] for one in waits(home)["files"]}


def test_each_file_that_is_not_taken_has_its_reason(home: Home) -> None:
    """By its name, its kind, the temp file beside it, its own header; junk is not told."""
    for name in (
        "whole.wav", "held.wav", "held.wav.part", "next.wav.crdownload", "Album/.hidden.wav",
        "a.zip", "b.ZIP", "cover.pdf", "README", "Thumbs.db", "._whole.wav", ".DS_Store",
        "@eaDir/x.wav", "_UNPACK_x/y.wav", "safari.wav.download/safari.wav",
        "song.sync-conflict-1.wav",
    ):  # fmt: skip
        put(home.inbox / name)
    put(home.inbox / "cut.wav", SONG[:5000])
    (home.inbox / "link.wav").symlink_to(home.inbox / "whole.wav")
    (home.inbox / "Music").symlink_to(home.inbox / "Album")
    (home.inbox / "Vol.1").symlink_to(home.inbox / "Album")
    settled(home)
    assert reasons(home) == {
        "whole.wav": "next",
        "held.wav": "held",
        "next.wav.crdownload": "unfinished",
        "Album/.hidden.wav": "hidden",
        "song.sync-conflict-1.wav": "name",
        "_UNPACK_x": "unfinished",
        "safari.wav.download": "unfinished",
        "a.zip": "kind",
        "b.ZIP": "kind",
        "cover.pdf": "kind",
        "README": "kind",
        "cut.wav": "incomplete",
        "link.wav": "link",
        "Music": "link",
        "Vol.1": "link",
    }
    told = home.run("status", "--verbose").stdout
    assert (
        "Inbox: 6 wait: 1 is incomplete, 1 has .part beside it, 3 are downloads under way, "
        "1 waits for the service; left alone: 4 are no songs (.zip no ending .pdf), 1 is hidden, "
        "1 has a name that is not taken, 3 are links\n"
    ) in told
    assert "  held.wav: has .part beside it since 20" in told
    assert "  cut.wav: its RIFF header promises " in told
    assert "  Album/.hidden.wav: is hidden\n" in told
    assert "  Music: is a link\n" in told


def test_a_file_that_was_just_written_still_changes(home: Home) -> None:
    """Nobody knows yet whether it is whole."""
    home.config.write_text(home.config.read_text() + "watch: {settle_seconds: 3600}\n")
    put(home.inbox / "new.wav")
    assert reasons(home) == {"new.wav": "changing"}
    assert "Inbox: 1 waits: 1 still changes\n" in home.run("status").stdout


def test_what_is_ignored_by_a_pattern_is_told_once(home: Home) -> None:
    """A folder that is ignored is not looked into."""
    put(home.inbox / "draft.wav")
    put(home.inbox / "notes.txt")
    put(home.inbox / "old" / "a.wav")
    put(home.inbox / "LICENSE")
    (home.inbox / "Music").symlink_to(home.inbox / "old")
    ignore = "watch: {ignore: ['draft*', '*.txt', old, LICENSE, Music]}\n"
    home.config.write_text(home.config.read_text() + ignore)
    assert reasons(home) == {"draft.wav": "ignored"}


def test_what_the_journal_knows_does_not_wait(home: Home) -> None:
    """A queued song is told of in the queue; the same name with other bytes is a new one."""
    known, other = put(home.inbox / "known.wav"), put(home.inbox / "other.wav")
    for path in (known, other):
        identity = Identity.of(path.stat())
        home.journal(a_job(path.name, identity, path=os.fspath(path), sha256=path.name))
    put(other, SONG + b"more")
    settled(home)
    assert reasons(home) == {"other.wav": "next"}


def test_a_missing_inbox_is_told_with_its_path(home: Home) -> None:
    """Another configuration than the service's, or a mount that is away."""
    home.inbox.rmdir()
    assert waits(home)["fault"] == "No such file or directory"
    told = home.run("status").stdout
    assert f"Inbox: {home.inbox} can't be looked at: No such file or directory\n" in told


def test_a_folder_that_is_nearly_a_presets_is_told(home: Home) -> None:
    """Before its songs are paid for with other settings than were meant."""
    put(home.inbox / "karoke" / "a.wav")
    put(home.inbox / "KARAOKE" / "b.wav")
    home.config.write_text(home.config.read_text() + "presets: {karaoke: {format: mp3}}\n")
    settled(home)
    assert reasons(home) == {"karoke/a.wav": "near_miss", "KARAOKE/b.wav": "next"}
    told = home.run("status", "--verbose").stdout
    assert "  karoke/a.wav: its folder 'karoke' is no preset (is 'karaoke' meant?)" in told


def test_looks_at_an_inbox_share_a_thread(home: Home) -> None:
    """`status --watch` looks every few seconds, for days: each look left a thread behind."""
    put(home.inbox / "song.wav")
    settings = config.load(str(home.config), env={})
    before = threading.active_count()
    for _ in range(20):
        (inbox,) = asyncio.run(standing(settings, time.time()))["inboxes"]
        assert inbox["waits"]["count"] == 1
    # Two, where a look begins before the thread of the look before is idle again.
    assert threading.active_count() - before < 10
