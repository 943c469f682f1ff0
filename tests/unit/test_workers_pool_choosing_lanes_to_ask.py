"""What a busy pool asks the journal for: only where a step left something, and now and then all."""

from __future__ import annotations

import pytest

from stemwatch.codes import CONFIRM, FETCH, FILE, POLL, SUBMIT, UNPACK
from stemwatch.job import AT_HAND, JobState
from stemwatch.workers.pool.choosing.lanes_to_ask import LanesToAsk
from tests.support.journal import new_job
from tests.support.waiting import Clock

LANES = (CONFIRM, FETCH, FILE, POLL, UNPACK)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def seen(clock: Clock) -> LanesToAsk:
    """After a first turn that looked at everything."""
    unseen = LanesToAsk(clock)
    unseen.turn(0.0, everything=True)
    assert {lane for lane in LANES if unseen.take(lane)} == set(LANES)
    unseen.turn(0.0, everything=False)
    return unseen


def taken(unseen: LanesToAsk) -> set[str]:
    return {lane for lane in LANES if unseen.take(lane)}


@pytest.mark.parametrize(
    ("state", "lanes"),
    [
        (JobState.QUEUED, set()),
        (JobState.SUBMITTING, {CONFIRM}),
        (JobState.SEPARATING, {POLL}),
        (JobState.SEPARATED, {FETCH}),
        (JobState.DELIVERED, {FILE}),
        (JobState.QUARANTINED, {FILE}),
        (JobState.DONE, set()),
        (JobState.GONE, set()),
    ],
)
def test_a_step_tells_who_can_go_on(seen: LanesToAsk, state: JobState, lanes: set[str]) -> None:
    assert taken(seen) == set()
    seen.left(new_job(1, state=state), watched=False)
    assert taken(seen) == lanes
    assert taken(seen) == set()  # once


def test_a_song_that_has_its_stems_is_unpacked_at_once(seen: LanesToAsk) -> None:
    seen.left(new_job(1, engine=AT_HAND), watched=False)
    assert taken(seen) == {UNPACK}


def test_a_remote_job_that_is_watched_is_nobodys_to_find(seen: LanesToAsk) -> None:
    seen.left(new_job(1, state=JobState.SEPARATING), watched=True)
    assert taken(seen) == set()


def test_a_lane_without_a_seat_for_all_asks_again(seen: LanesToAsk) -> None:
    seen.more(FETCH)
    seen.turn(0.0, everything=False)
    assert taken(seen) == {FETCH}


def test_uploads_are_asked_for_whenever_there_is_room(seen: LanesToAsk) -> None:
    assert seen.take(SUBMIT)
    assert seen.take(SUBMIT)


def test_a_busy_pool_looks_at_everything_once_a_second(seen: LanesToAsk, clock: Clock) -> None:
    clock.now += 0.9
    seen.turn(0.0, everything=False)
    assert not seen.all
    clock.now += 0.2
    seen.turn(0.0, everything=False)
    assert seen.all
    assert taken(seen) == set(LANES)


def test_what_is_due_by_itself_is_looked_for_when_it_is(seen: LanesToAsk) -> None:
    seen.left(new_job(1, state=JobState.SEPARATED, not_before=50.0), watched=False)
    seen.left(new_job(2, state=JobState.QUEUED, not_before=70.0), watched=False)
    assert seen.due == 50.0
    assert taken(seen) == {FETCH}  # not due yet: the journal has none to give
    seen.turn(49.9, everything=False)
    assert not seen.all
    seen.turn(50.0, everything=False)
    assert seen.all
    assert taken(seen) == set(LANES)
