"""What is heard besides tempo and key: taken where it is sensible, null where it is not."""

from __future__ import annotations

from typing import Any

import pytest

from stemwatch.heard import Heard

TOLD = {
    "tuning_cents": -50,
    "tempo_confidence": 0.25,
    "key_confidence": 1,
    "first_beat_seconds": 0,
}


def test_each_is_taken_within_its_range() -> None:
    """Bounds included; whole numbers become decimal ones, and other keys are left alone."""
    assert Heard.of(TOLD | {"bpm": 124}) == Heard(-50.0, 0.25, 1.0, 0.0)
    assert Heard.of({}) is None


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize(
    "odd", [None, True, "0.5", -51, 1e7, 10**400, float("nan"), float("inf"), [], {}]
)
def test_what_is_no_sensible_number_is_null_and_the_rest_stays(name: str, odd: Any) -> None:
    """Whoever said it: a server, or whoever wrote a sidecar."""
    heard = Heard.of(TOLD | {name: odd})
    assert heard == Heard(**(TOLD | {name: None}))
    assert Heard.of({name: odd}) is None
