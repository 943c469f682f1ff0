"""What scans pass over: named once in the log, when it has been there for a minute."""

from __future__ import annotations

import os
from pathlib import Path

from structlog.testing import capture_logs

from stemwatch.inbox.names import Filter
from stemwatch.inbox.scan import scan
from stemwatch.inbox.taking.passed_over import PassedOver

SONGS = Filter(["mp3", "wav"], ["draft*"])


def look(root: Path, passed: PassedOver) -> dict[str, str]:
    """What one scan of everything has logged."""
    with capture_logs() as lines:
        passed.begin()
        list(scan(os.fspath(root), SONGS, on_passed=passed.note))
    assert {line["event"] for line in lines} <= {"file.passed_over"}
    return {line["path"]: line["message"] for line in lines}


def test_each_is_told_once_with_its_reason(tmp_path: Path) -> None:
    """Not at once, and not what is no music."""
    now = 100.0
    passed = PassedOver(lambda: now)
    album = tmp_path / "Album"
    album.mkdir()
    for name in (
        "whole.mp3", "held.mp3", "held.mp3.part", ".hidden.mp3", "draft.mp3", "a.opus", "b.ZIP",
        "Clip.f140.wav", "cover.jpg", "._whole.mp3", "notes.txt", "Thumbs.db",
    ):  # fmt: skip
        (album / name).write_bytes(b"song")
    (album / "link.mp3").symlink_to(album / "whole.mp3")
    (tmp_path / "Music").symlink_to(album)
    (tmp_path / "@eaDir").symlink_to(album)
    (tmp_path / "drafts").symlink_to(album)
    (album / "cover.png").symlink_to(album / "cover.jpg")
    assert look(tmp_path, passed) == {}
    now += 59
    assert look(tmp_path, passed) == {}
    now += 2
    assert look(tmp_path, passed) == {
        "Album/held.mp3": "a temp file beside it shows that it is written",
        "Album/.hidden.mp3": "its name is hidden",
        "Album/draft.mp3": "watch.ignore leaves it alone",
        "Album/a.opus": ".opus is not among watch.extensions",
        "Album/b.ZIP": ".zip is not among watch.extensions",
        "Album/link.mp3": "it is a link",
        "Music": "it is a link",
    }
    now += 1000
    assert look(tmp_path, passed) == {}


def test_what_came_back_is_new(tmp_path: Path) -> None:
    now = 0.0
    passed = PassedOver(lambda: now)
    song = tmp_path / "a.opus"
    for _ in range(2):
        song.write_bytes(b"song")
        assert look(tmp_path, passed) == {}
        now += 61
        assert list(look(tmp_path, passed)) == ["a.opus"]
        song.unlink()
        assert look(tmp_path, passed) == {}
