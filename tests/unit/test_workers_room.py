"""Too little room for one song more must not hold back what is paid for."""

from __future__ import annotations

from stemwatch.errors import PauseService
from stemwatch.workers.gate import FETCH, FILE, POLL, SUBMIT, Gate
from stemwatch.workers.timing import Timing


def test_too_little_room_holds_back_submitting_only() -> None:
    """Stems that wait to be fetched would otherwise keep their room reserved for ever."""
    gate = Gate(Timing(), lambda: 0.0)
    gate.pause(PauseService("46 MB free, 47 MB needed.", code="room"))
    assert gate.closed(SUBMIT) is not None
    assert [what for what in (POLL, FETCH, FILE) if gate.closed(what)] == []


def test_room_is_looked_for_as_often_as_a_disk() -> None:
    """Whoever frees some space waits for seconds, not for an account's backoff of up to an hour."""
    timing = Timing()
    gate = Gate(timing, lambda: 0.0)
    for _ in range(9):
        gate.pause(PauseService("46 MB free, 47 MB needed.", code="room"))
    assert [pause.until for pause in gate.pauses] == [timing.disk_recheck]
