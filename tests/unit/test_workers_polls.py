"""When remote jobs are asked for; all times are the test's own."""

from __future__ import annotations

import itertools

import pytest

from stemwatch.workers.polls import Estimate, Polls


def polls() -> Polls:
    return Polls(3.0, 0.5, 300.0, 30.0)


def follow(schedule: Polls, job: int, start: float, lasts: float) -> list[float]:
    """Ask as the schedule says until the job is done; the times of the polls after its start."""
    schedule.started(job, start)
    asked = []
    while True:
        due = schedule.next_due()
        assert due is not None
        assert schedule.take_due(due - 0.001) is None
        assert schedule.take_due(due) == job
        asked.append(due - start)
        if due - start >= lasts:
            schedule.done(job, due)
            return asked
        schedule.running(job, due)


def test_the_first_job_is_asked_for_at_the_interval() -> None:
    """Nothing is known yet: every 3 s."""
    assert follow(polls(), 1, 100.0, 10.0) == [3.0, 6.0, 9.0, 12.0]


def test_later_jobs_are_first_asked_for_when_they_may_be_done() -> None:
    """What earlier jobs took saves most polls; the end is found within a small step."""
    schedule = polls()
    follow(schedule, 1, 0.0, 40.0)
    asked = follow(schedule, 2, 1000.0, 40.0)
    assert asked[0] == 39.0
    assert len(asked) <= 5
    assert asked[-1] - 40.0 <= 0.5


def test_past_its_deadline_a_job_is_asked_for_rarely() -> None:
    """Late is not failed: every 30 s, for as long as it takes."""
    asked = follow(polls(), 1, 0.0, 600.0)
    late = [b - a for a, b in itertools.pairwise(asked) if a > 300.0]
    assert late
    assert set(late) == {30.0}


def test_a_resumed_job_is_asked_for_at_once() -> None:
    """After a restart (or a suspend) the clocks say nothing about it."""
    schedule = polls()
    schedule.resumed(7, 500.0)
    assert schedule.take_due(500.0) == 7
    assert schedule.take_due(500.0) is None  # planned anew only by its answer


def test_a_postponed_job_waits_its_time() -> None:
    """An answer that was none: later, once."""
    schedule = polls()
    schedule.started(1, 0.0)
    schedule.postpone(1, 1.0, 60.0)
    assert schedule.take_due(3.0) is None
    assert schedule.next_due() == 61.0
    assert schedule.take_due(61.0) == 1
    schedule.postpone(99, 0.0, 1.0)  # nobody's


def test_a_held_schedule_asks_for_nothing() -> None:
    """A 429 on a poll holds them all, and a shorter one frees nobody."""
    schedule = polls()
    schedule.started(1, 0.0)
    schedule.started(2, 0.0)
    schedule.hold(20.0)
    schedule.hold(10.0)
    assert schedule.next_due() == 20.0
    assert schedule.take_due(19.9) is None
    assert {schedule.take_due(20.0), schedule.take_due(20.0)} == {1, 2}


def test_the_first_end_is_foreseen() -> None:
    """For the upload ahead: seconds until a slot is likely to be free; None while unknown."""
    schedule = polls()
    schedule.started(1, 0.0)
    assert schedule.expected_end(1.0) is None
    schedule.estimate.observe(9.0, 10.0)
    assert schedule.expected_end(4.0) == 6.0
    assert schedule.expected_end(40.0) == 0.0
    schedule.done(1, 10.0, learn=False)
    assert schedule.expected_end(10.0) is None
    assert schedule.estimate.typical == 10.0


@pytest.mark.parametrize("longest", [0.1, 3.0])
def test_steps_stay_between_their_bounds(longest: float) -> None:
    """Never shorter than the shortest, never longer than the interval."""
    estimate = Estimate()
    for end in (10.0, 20.0, 60.0):
        estimate.observe(end - 1, end)
    for elapsed in (0.0, 30.0, 61.0, 5000.0):
        assert min(0.5, longest) <= estimate.step(elapsed, 0.5, longest) <= longest
