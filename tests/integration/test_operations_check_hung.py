"""`check` while a folder's disk hangs: the folder is named, and everything else is looked at."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from stemwatch import config
from stemwatch.operations.check.everything import check
from stemwatch.operations.check.finding import FAULT, Finding
from tests.faults.exports import SFTP_MOUNT, hung, why_no_shares
from tests.support.commands import Home
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(
    why_no_shares(*SFTP_MOUNT) is not None, reason=str(why_no_shares(*SFTP_MOUNT))
)
NAMES = ("inbox", "outbox", "quarantine", "archive")
PATIENCE = 0.3  # seconds


def test_folders_that_hang_are_named_and_the_rest_is_checked(tmp_path: Path) -> None:
    home = Home(tmp_path)
    inboxes = {
        who: {"folders": {name: f"{who}/{name}" for name in NAMES}} for who in ("dj", "karaoke")
    }
    home.config.write_text(f"state_dir: state\napi: {{base_url: local}}\ninboxes: {inboxes}\n")
    (tmp_path / "dj" / "inbox").mkdir(parents=True)
    hers = tmp_path / "karaoke"
    found: list[Finding] = []

    def look() -> None:
        settings = config.load(str(home.config), env={}, patience=PATIENCE)
        found.extend(asyncio.run(check(settings, {}, str(tmp_path), patience=PATIENCE)))

    with hung(hers, tmp_path / "there"):
        # A thread of its own: one that waits in the share can't be stopped before it answers.
        threading.Thread(target=look, daemon=True).start()
        wait_for(lambda: found, timeout=20, what="the findings")
    told = [one.text for one in found]
    assert told[:4] == [
        f"inboxes.karaoke.folders.{name}: {hers / name} does not answer" for name in NAMES
    ]
    assert [one for one in found if one.level == FAULT] == found[:4]
    for subject in ("dj.folders", "dj.folders.outbox"):
        assert any(text.startswith(f"inboxes.{subject}: ") for text in told), subject
    for subject in ("audio", "clock", "watching", "state_dir", "journal", "service"):
        assert any(text.startswith(f"{subject}: ") for text in told), subject
