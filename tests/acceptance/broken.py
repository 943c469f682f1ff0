"""The real service with one part that fails as nobody foresaw: `... broken PART FACTOR SETTINGS`.

PART: `polls`, whoever asks for remote jobs; `probe`, the first look whether the API takes the key
again. The rest is as `tests.acceptance.scaled` has it.
"""

from __future__ import annotations

import sys
from typing import Any

from stemwatch.stemsplit.separate import SeparateApi
from stemwatch.workers.pacing.polls import Polls
from tests.acceptance.scaled import main


class Unforeseen(Exception):
    """What nobody catches by its name."""


def _break_polls() -> None:
    def take_due(_polls: Polls, _now: float) -> int | None:
        raise Unforeseen("made by a test")

    Polls.take_due = take_due  # type: ignore[method-assign]


def _break_probe() -> None:
    well = SeparateApi.check_key

    async def check_key(_api: SeparateApi) -> Any:
        SeparateApi.check_key = well  # type: ignore[method-assign]
        raise Unforeseen("made by a test")

    SeparateApi.check_key = check_key  # type: ignore[method-assign]


if __name__ == "__main__":
    {"polls": _break_polls, "probe": _break_probe}[sys.argv.pop(1)]()
    sys.exit(main())
