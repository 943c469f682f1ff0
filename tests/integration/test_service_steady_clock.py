"""A wall clock that has jumped decides nothing for a day, over restarts too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stemwatch.service.upkeep import steady_clock
from stemwatch.service.upkeep.steady_clock import DAY, is_steady
from tests.acceptance.harness import Home
from tests.support.context import context_of

NOW = 1_800_000_000.0
HOUR = 3600.0
HOURS = [NOW + n * HOUR for n in range(25)]  # a day without a jump
FAR = NOW + 73 * 365 * DAY  # 2099
LAST = HOURS[-1]


def watched(root: Path, times: list[float], fact: str | None = None) -> tuple[list[bool], int]:
    """What was said at each of the times, and how often it was logged that nothing is deleted."""

    async def main() -> list[bool]:
        async with context_of(Home(root, "http://127.0.0.1:9/v1")) as ctx:
            if fact is not None:
                await ctx.journal.note(steady_clock.FACT, fact)
            return [await is_steady(ctx.journal, now) for now in times]

    with capture_logs() as logs:
        said = asyncio.run(main())
    return said, sum(line["event"] == "archive.waits" for line in logs)


def test_it_is_believed_at_first(tmp_path: Path) -> None:
    """Nobody can tell yet, and songs that are too old are there from earlier versions."""
    assert watched(tmp_path, HOURS) == ([True] * 25, 0)


@pytest.mark.parametrize("jump", [FAR, LAST + 31 * DAY, LAST - 99 * DAY])
def test_after_a_jump_a_day_has_to_pass(tmp_path: Path, jump: float) -> None:
    """Over a restart in the middle of it, too."""
    assert watched(tmp_path, HOURS)[0][-1]
    hours = [jump + n * HOUR for n in range(25)]
    assert watched(tmp_path, hours[:12]) == ([False] * 12, 1)
    assert watched(tmp_path, hours[12:]) == ([False] * 12 + [True], 0)


def test_a_clock_that_is_set_right_again_is_watched_anew(tmp_path: Path) -> None:
    """A start in 2099, which NTP ended after a minute."""
    assert watched(tmp_path, HOURS)[0][-1]
    assert watched(tmp_path, [FAR, FAR + 60, LAST + 120, LAST + HOUR]) == ([False] * 4, 2)


def test_a_week_off_is_no_jump(tmp_path: Path) -> None:
    """Nor is a step of minutes back, or what the clock drifted."""
    assert watched(tmp_path, HOURS)[0][-1]
    assert watched(tmp_path, [LAST + 7 * DAY, LAST + 7 * DAY - 300]) == ([True] * 2, 0)


@pytest.mark.parametrize("fact", ["", "soon", "1 2 3"])
def test_a_note_that_nobody_can_read_is_none(tmp_path: Path, fact: str) -> None:
    assert watched(tmp_path, [NOW], fact) == ([True], 0)
