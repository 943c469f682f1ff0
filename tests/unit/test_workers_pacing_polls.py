"""When remote jobs are asked for; all times are the test's own."""

from __future__ import annotations

import itertools

import pytest

from stemwatch.workers.pacing.job_times import Estimate, Window, next_step
from stemwatch.workers.pacing.polls import Polls


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
    assert 36.0 < asked[0] < 40.0
    assert len(asked) <= 6
    assert asked[-1] - 40.0 <= 0.6


@pytest.mark.parametrize("lasts", [20.0, 31.0, 38.5, 45.0, 52.3])
def test_jobs_that_began_together_are_asked_for_in_turns(lasts: float) -> None:
    """The end of all three is found sooner than any of them is asked for twice: 3.75 s, then 0.5.

    Each slot that is found free is taken by the next song at once, for four rounds.
    """
    schedule = Polls(3.0, 0.5, 300.0, 30.0, rate=lambda: 1.0)  # a request a second
    ends = dict.fromkeys((1, 2, 3), lasts)
    lates: dict[int, float] = {}
    for job in ends:
        schedule.started(job, 0.0)
    for job in range(4, 16):
        ended = None
        while ended is None:
            now = schedule.next_due()
            assert now is not None
            asked = schedule.take_due(now)
            assert asked is not None
            if now < ends[asked]:
                schedule.running(asked, now)
            else:
                ended = asked
        schedule.done(ended, now)
        lates[ended] = now - ends.pop(ended)
        schedule.started(job, now)
        ends[job] = now + lasts
    firsts, others = [lates[job] for job in (1, 2, 3)], [lates[job] for job in range(4, 13)]
    assert max(firsts) <= 3.75 / 2
    assert max(others) <= 0.6
    assert sum(others) / len(others) <= 0.35


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


def test_the_ends_are_foreseen() -> None:
    """For the uploads ahead: when slots are likely to be free; a guess while nothing has ended."""
    schedule = polls()
    schedule.started(1, 0.0)
    schedule.started(2, 5.0)
    assert schedule.expected_ends(1.0, 40.0) == [39.0, 44.0]
    schedule.estimate.observe(10.0, 10.0)
    assert schedule.expected_ends(4.0, 40.0) == [6.0, 11.0]
    assert schedule.expected_ends(40.0, 40.0) == [8.75, 10.0]  # overdue: a quarter longer still
    schedule.done(1, 10.0, learn=False)
    schedule.done(2, 10.0, learn=False)
    assert schedule.expected_ends(10.0, 40.0) == []
    assert schedule.estimate.typical == 10.0


@pytest.mark.parametrize("longest", [0.1, 3.0])
def test_steps_stay_between_their_bounds(longest: float) -> None:
    """Never shorter than the shortest, never longer than the interval once it may have ended."""
    window = Window(9.0, 60.0)
    assert next_step(window, 0.0, 0.5, longest) == 9.0
    for elapsed in (9.0, 30.0, 61.0, 5000.0):
        assert min(0.5, longest) <= next_step(window, elapsed, 0.5, longest) <= longest


# -- what ends foretell ----------------------------------------------------------------------


def seen(*looks: tuple[float, float]) -> Window:
    """What is foretold by jobs that were seen running, and then done, at these seconds."""
    estimate = Estimate()
    for running_at, done_at in looks:
        estimate.observe(running_at, done_at)
    window = estimate.window(None)
    assert window is not None
    return window


def test_jobs_that_may_be_alike_are_taken_for_it() -> None:
    """However coarsely they were looked at: between the latest "running" and the first "done"."""
    assert seen((36.0, 44.0)) == Window(32.0, 48.0)
    assert seen((36.0, 44.0), (40.0, 48.0), (41.0, 50.0)) == Window(40.25, 44.75)


def test_jobs_that_vary_are_expected_beyond_those_that_were_seen() -> None:
    """Of three that may end at any time from 30 to 60, one is seen at 37, one at 45, one at 53."""
    assert seen((36.0, 38.0), (44.0, 46.0), (52.0, 54.0)) == Window(29.0, 61.0)


def test_a_song_of_another_size_is_not_left_alone_for_hours() -> None:
    """Jingles of 5 s were done after 40 s. A mix of an hour may be, too, or may take hours."""
    estimate = Estimate()
    for running_at, done_at, audio in ((39.0, 40.0, 5.0), (40.0, 41.0, 5.1), (42.0, 43.0, 5.4)):
        estimate.observe(running_at, done_at, audio)
    for audio in (3600.0, 0.5):
        far = estimate.window(audio)
        assert far is not None
        assert far.earliest <= 40.0
        assert far.latest >= 43.0
    near = estimate.window(5.2)
    assert near is not None
    assert 38.0 < near.earliest < near.latest < 45.0


def test_only_two_early_ones_running_put_the_old_ones_out_of_mind() -> None:
    """One may be the first of many; where the server became quicker, another follows."""
    old = [(40.0, 41.0)] * 4
    early = (0.0, 30.0)
    assert seen(*old, early).latest > 40.0
    assert seen(*old, early, *old[:1], early).latest > 40.0
    assert seen(*old, *[early] * 4).latest < 31.0


# -- callbacks -------------------------------------------------------------------------------


def started(schedule: Polls, job: int, now: float) -> float:
    """Start a job whose remote id is its number; the seconds until its first poll."""
    schedule.started(job, now, str(job))
    due = schedule.next_due()
    assert due is not None
    return due - now


def usual(schedule: Polls) -> float:
    """Seconds until a job is worth a first poll."""
    window = schedule.estimate.window(None)
    assert window is not None
    return window.earliest


def test_a_call_plans_its_poll_at_once() -> None:
    """Once, whatever was planned; the time that the job took is learnt exactly."""
    schedule = polls()
    schedule.started(1, 0.0, "a")
    assert schedule.called("a", 1.0)
    assert schedule.called("a", 1.0)  # a duplicate
    assert schedule.take_due(1.0) == 1
    assert schedule.take_due(1.0) is None
    schedule.done(1, 1.5)
    assert schedule.estimate.typical == 1.5
    assert schedule.estimate.window(None) == Window(1.5, 1.5)
    assert not schedule.called("a", 2.0)  # it is over


def test_a_call_during_its_poll_is_asked_for_right_after_it() -> None:
    """What is under way may have been answered before the end: never two polls, never forgotten."""
    schedule = polls()
    schedule.started(1, 0.0, "a")
    assert schedule.take_due(3.0) == 1
    schedule.called("a", 3.1)
    assert schedule.take_due(3.1) is None
    assert schedule.next_due() is None
    schedule.running(1, 3.2)
    assert schedule.take_due(3.2) == 1
    schedule.running(1, 3.3)  # the call was wrong, or spoke of something else
    assert schedule.take_due(3.4) is None


def test_others_are_asked_for_rarely_while_calls_come() -> None:
    """Polling is the backstop: four times rarer, from the first call on, for a quarter hour."""
    schedule = polls()
    assert started(schedule, 1, 0.0) == 3.0
    schedule.called("1", 2.0)
    assert schedule.take_due(2.0) == 1
    schedule.done(1, 2.0)
    assert usual(schedule) == 2.0
    assert started(schedule, 2, 10.0) == 4 * 2.0
    assert schedule.take_due(10.0 + 4 * 2.0) == 2
    schedule.running(2, 22.0)
    due = schedule.next_due()
    assert due is not None
    assert due - 22.0 == pytest.approx(4 * 3.0)
    assert started(polls(), 3, 0.0) == 3.0
    schedule.done(2, 30.0, learn=False)
    assert started(schedule, 4, 2.0 + 900.0) == 2.0  # no call for too long


def test_a_job_that_ends_without_a_call_makes_polling_normal() -> None:
    """They can't be relied upon, until the next one comes."""
    schedule = polls()
    for job in (1, 2):
        schedule.started(job, 0.0, str(job))
    schedule.called("1", 2.0)
    schedule.take_due(2.0)
    schedule.done(1, 2.0)
    schedule.done(2, 2.0)
    assert started(schedule, 3, 4.0) == pytest.approx(usual(schedule))
    schedule.called("3", 6.0)
    schedule.take_due(6.0)
    schedule.done(3, 6.0)
    assert started(schedule, 4, 7.0) == pytest.approx(4 * usual(schedule))


@pytest.mark.parametrize("way", ["started", "resumed"])
def test_an_early_call_is_remembered_until_its_job_starts(way: str) -> None:
    """Quicker than the answer that names the job, or than the list that was searched for it."""
    schedule = polls()
    assert not schedule.called("a", 0.0)
    if way == "started":
        schedule.started(1, 5.0, "a")
    else:
        schedule.resumed(1, 5.0, 60.0, "a")
    assert schedule.take_due(5.0) == 1
    schedule.done(1, 5.5)
    schedule.started(2, 6.0, "a")  # used up: it wakes no other job of that name
    assert schedule.take_due(6.0) is None


def test_only_so_many_early_calls_are_remembered() -> None:
    """Who knows a secret of ours could fill the memory; the oldest go first."""
    schedule = polls()
    for number in range(300):
        schedule.called(f"r{number}", 0.0)
    schedule.started(1, 1.0, "r0")
    assert schedule.take_due(1.0) is None
    schedule.started(2, 1.0, "r299")
    assert schedule.take_due(1.0) == 2


def test_a_call_frees_nobody_from_a_held_schedule() -> None:
    """A 429 is a 429."""
    schedule = polls()
    schedule.started(1, 0.0, "a")
    schedule.hold(20.0)
    schedule.called("a", 1.0)
    assert schedule.take_due(19.0) is None
    assert schedule.take_due(20.0) == 1


def test_a_poll_that_nobody_concluded_is_planned_again() -> None:
    """A full journal while its end was written down must not leave a paid job alone for ever."""
    schedule = polls()
    schedule.started(1, 0.0)
    assert schedule.take_due(3.0) == 1
    assert schedule.next_due() is None
    schedule.let_go(1, 4.0, 15.0)
    assert schedule.next_due() == 19.0
    schedule.let_go(1, 5.0, 99.0)  # planned already
    assert schedule.take_due(19.0) == 1
    schedule.running(1, 19.0)
    schedule.let_go(1, 19.0, 99.0)
    assert schedule.next_due() == 22.0
