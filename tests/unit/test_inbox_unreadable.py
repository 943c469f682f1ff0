"""What can't be read: remembered for `status`, and told of once."""

from __future__ import annotations

import errno
import os

import pytest

from stemwatch.inbox.unreadable import Unreadable

REFUSED = PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def told(capsys: pytest.CaptureFixture[str]) -> int:
    return capsys.readouterr().err.count("file.unreadable")


def test_a_locked_folder_is_told_once_for_as_long_as_it_stays_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every scan meets it again; one that was opened, and locked again, is news."""
    unreadable = Unreadable()
    for _ in range(3):
        unreadable.begin(())
        unreadable.note("/inbox/locked", REFUSED)
        assert unreadable.now == {"/inbox/locked": "Permission denied"}
    assert told(capsys) == 1
    unreadable.begin(())
    assert unreadable.now == {}
    unreadable.begin(())
    unreadable.note("/inbox/locked", REFUSED)
    assert told(capsys) == 1


def test_a_file_that_is_followed_stays_known_between_scans(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is looked at by itself; read at last, it may be told of again."""
    unreadable = Unreadable()
    unreadable.note("/inbox/song.mp3", REFUSED)
    unreadable.begin({"/inbox/song.mp3"})
    assert list(unreadable.now) == ["/inbox/song.mp3"]
    unreadable.was_read("/inbox/song.mp3")
    assert unreadable.now == {}
    unreadable.note("/inbox/song.mp3", REFUSED)
    assert told(capsys) == 2


def test_no_more_are_remembered_than_anybody_reads(capsys: pytest.CaptureFixture[str]) -> None:
    unreadable = Unreadable()
    for number in range(1000):
        unreadable.note(f"/inbox/{number}", REFUSED)
    assert len(unreadable.now) == told(capsys) == 200
