"""Fault tests share one process, whatever pytest and xdist there are."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("turn", range(6))
def test_all_meet_in_one_process(
    turn: int, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> None:
    """xdist 3.8 beside pytest 9.2 forgot its groups, and nothing failed: they starved."""
    mine = tmp_path_factory.getbasetemp()
    first = (mine if worker_id == "master" else mine.parent) / "process of the fault tests"
    try:
        with first.open("x") as file:
            file.write(worker_id)
    except FileExistsError:
        assert first.read_text() == worker_id, turn
