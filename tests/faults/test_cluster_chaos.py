"""A small run of `cluster_chaos.py`; the large one is a command."""

from __future__ import annotations

from pathlib import Path

from tests.faults.cluster_chaos import Chaos
from tests.support.postgres import needs_postgres


@needs_postgres
def test_kills_lose_no_song_and_make_none_twice(tmp_path: Path) -> None:
    """Workers, front ends and the database die while songs go through."""
    pace = {"seconds": 1.0, "every": 0.7, "stall": 1.0}
    outcome = Chaos(tmp_path, 18, seats=2, seed=4, most=4, least=3, **pace).run()
    assert outcome.faults == [], outcome.line()
    assert outcome.kills.total() >= 3
