"""Folders that a start could not open: tried again until they can be used, and made then."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stemwatch import config
from stemwatch.errors import PauseService
from stemwatch.service.opened_folders import Opened
from tests.acceptance.harness import Home


def test_a_share_that_was_unmounted_instead_of_answering_is_tried_until_it_is_back(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.inbox.rmdir()
    settings = config.load(str(home.config), env={})

    async def main() -> None:
        late = Opened(settings, settings.every_inbox[0], patience=10.0)  # the start has not seen it
        for _ in range(2):
            with pytest.raises(PauseService, match="does not exist") as told:
                await late.require()
            assert told.value.code == "inbox"
        home.inbox.mkdir()
        home.outbox.rmdir()
        home.outbox.write_text("no folder")
        with pytest.raises(PauseService, match="can't be a folder") as told:
            await late.require()
        assert told.value.code == "disk"
        home.outbox.unlink()
        await late.require()
        assert late.usable
        assert home.outbox.is_dir()

    asyncio.run(main())


def test_what_a_start_has_told_is_waited_for_as_it_is(tmp_path: Path) -> None:
    home = Home(tmp_path, "http://127.0.0.1:9/v1")
    home.inbox.rmdir()
    settings = config.load(str(home.config), env={})

    async def main() -> None:
        seen = Opened(settings, settings.every_inbox[0], patience=10.0)
        assert await seen.attempt() is None
        assert not seen.usable
        assert "does not exist" in seen.faults[0]
        await seen.require()

    asyncio.run(main())
