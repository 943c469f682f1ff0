"""How far uploads run ahead of free slots; the clock is the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field

from stemwatch.workers.pacing.polls import Polls
from stemwatch.workers.pacing.slots import Slots
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pacing.uploads_ahead import Ahead

MB = 1_000_000


@dataclass
class Line:
    """Uploads over a wire that keeps them for `keeps` seconds (None: a connection is held)."""

    slots_: int = 3
    keeps: float | None = None
    now: float = 1000.0
    slots: Slots = field(init=False)
    polls: Polls = field(init=False)
    ahead: Ahead = field(init=False)

    def __post_init__(self) -> None:
        timing = Timing()
        self.slots = Slots(self.slots_, timing.creep, lambda: self.now)
        self.polls = Polls(3.0, 0.5, 300.0, 30.0)
        self.ahead = Ahead(timing, self.slots, self.polls, lambda: self.now, lambda: self.keeps)

    def learns(self, *, job: float, size: int, seconds: float) -> None:
        """A job took so long, and an upload of this size so many seconds."""
        self.polls.estimate.observe(job, job)
        self.ahead.answered(size, seconds)

    def runs(self, *jobs: int) -> None:
        """These jobs have just been taken."""
        for job in jobs:
            self.slots.hold(job)
            self.polls.started(job, self.now)

    def uploads(self, job: int, size: int, *, whole: bool = True) -> None:
        self.ahead.began(job, size)
        if whole:
            self.ahead.sent(job, size)
            self.ahead.whole(job)

    def begins(self, first: int, size: int) -> int:
        """How many uploads begin one after another, each sent before the next."""
        count = 0
        while self.ahead.room():
            self.uploads(first + count, size)
            count += 1
            assert count <= 2 * self.slots_, "no end of them"
        return count


def test_free_slots_are_filled_one_after_another() -> None:
    """The line is not shared by uploads: the first has its slot the sooner. Then it is enough."""
    line = Line()
    line.learns(job=45.0, size=10 * MB, seconds=10.0)
    assert line.ahead.room()
    line.uploads(1, 10 * MB, whole=False)
    assert not line.ahead.room()
    line.now += 1.0
    assert not line.ahead.sent(1, 1 * MB)
    assert line.ahead.sent(1, 9 * MB)  # two seconds' worth is left
    assert line.ahead.room()


def test_what_stands_still_does_not_hold_up_the_others() -> None:
    line = Line()
    line.learns(job=45.0, size=10 * MB, seconds=10.0)
    line.uploads(1, 10 * MB, whole=False)
    assert not line.ahead.room()
    due = line.ahead.next_room()
    assert due is not None
    line.now = due
    assert line.ahead.room()


def test_a_stalled_upload_is_looked_at_once() -> None:
    """An upload that stands still for minutes made the pool ask the journal 40 times a second."""
    stalled, line = Line(), Timing().line
    stalled.learns(job=45.0, size=10 * MB, seconds=10.0)
    stalled.uploads(1, 10 * MB, whole=False)
    stalled.now += line + 1.0
    stalled.uploads(2, 10 * MB, whole=False)
    assert not stalled.ahead.room()
    assert stalled.ahead.next_room() == stalled.now + line
    stalled.now += line
    assert stalled.ahead.next_room() is None


def test_small_songs_on_a_fast_line_go_up_together() -> None:
    line = Line()
    line.learns(job=45.0, size=MB, seconds=0.01)
    for job in (1, 2, 3):
        assert line.ahead.room()
        line.uploads(job, MB, whole=False)


def test_an_upload_ahead_begins_when_a_slot_is_expected() -> None:
    """Twenty seconds and its own time before the end: an open request must not wait for long."""
    line = Line()
    line.learns(job=45.0, size=10 * MB, seconds=5.0)
    line.runs(1, 2, 3)
    assert not line.ahead.room()
    due = line.ahead.next_room()
    assert due is not None
    assert 1000.0 + 45.0 - 25.0 - 3.0 <= due <= 1000.0 + 45.0 - 25.0 + 3.0
    line.now = due + 0.01
    assert line.begins(4, 10 * MB) == 3  # all three slots end together: never more than slots
    assert line.ahead.next_room() is None


def test_slots_that_end_one_after_another_are_refilled_so() -> None:
    line = Line()
    line.learns(job=45.0, size=10 * MB, seconds=5.0)
    for job in (1, 2, 3):
        line.runs(job)
        line.now += 15.0
    assert line.begins(4, 10 * MB) == 2  # the third's slot is thirty seconds away


def test_little_is_risked_on_a_guess() -> None:
    """Before the first end nobody knows: two of three on a slow line; on a fast one it is cheap."""
    fast = Line()
    fast.ahead.answered(MB, 0.1)
    fast.runs(1, 2, 3)
    fast.now += 10.0
    assert not fast.ahead.room()
    fast.now += 29.0
    assert fast.begins(4, MB) == 3
    slow = Line()
    slow.ahead.answered(30 * MB, 13.0)
    slow.runs(1, 2, 3)
    slow.now += 39.0
    assert slow.begins(4, 30 * MB) == 2


def test_nothing_is_sent_ahead_after_a_refusal_at_the_head() -> None:
    """Such a server refuses whatever comes before a slot is free: an hour of that is spared."""
    line = Line()
    line.learns(job=45.0, size=10 * MB, seconds=5.0)
    line.runs(1, 2, 3)
    line.now += 40.0
    line.uploads(4, 10 * MB, whole=False)
    assert line.ahead.refused(4)
    line.ahead.ended(4)
    assert not line.ahead.room()
    line.slots.release(1)
    assert line.ahead.room()  # a free slot is another matter
    line.uploads(5, 10 * MB, whole=False)
    assert not line.ahead.refused(5)  # here a 429 means that there are fewer slots


def test_a_server_that_does_not_wait_is_remembered() -> None:
    """It closed an upload after ten seconds: the next ones wait for eight at most, and not soon."""
    line = Line(slots_=1)
    line.learns(job=45.0, size=10 * MB, seconds=5.0)
    line.runs(1)
    line.now += 35.0
    line.uploads(2, 10 * MB)
    assert line.ahead.longest_hold == 45.0
    line.now += 10.0
    line.ahead.expired(2, closed=True)
    line.ahead.ended(2)
    assert line.ahead.longest_hold == 8.0
    assert not line.ahead.room()
    line.polls.done(1, line.now, learn=False)
    line.slots.release(1)
    assert line.ahead.room()
    line.uploads(2, 10 * MB)
    line.runs(2)
    line.ahead.admitted(2)
    line.now += 30.0
    assert not line.ahead.room()
    line.now += 8.0
    assert line.ahead.room()  # a slot was given: another may be sent ahead, but later


def closed_at_once(line: Line, job: int) -> None:
    """An upload ahead of job 1's end that its server closes as soon as it waits."""
    line.uploads(job, 10 * MB)
    line.now += 0.1
    line.ahead.expired(job, closed=True)
    line.ahead.ended(job)


def given_a_slot(line: Line, job: int, after: float) -> None:
    line.uploads(job, 10 * MB)
    line.now += after
    line.ahead.admitted(job)


def test_one_that_is_closed_at_once_tells_nothing_of_the_server() -> None:
    """A router that restarts must not cost every later song a second upload."""
    line = Line(slots_=1)
    line.learns(job=45.0, size=10 * MB, seconds=5.0)
    line.runs(1)
    line.now += 35.0
    closed_at_once(line, 2)
    assert line.ahead.longest_hold == 45.0
    given_a_slot(line, 2, after=3.0)  # the next one does wait
    assert line.ahead.room()
    closed_at_once(line, 3)
    given_a_slot(line, 3, after=0.0)
    assert line.ahead.room()


def test_two_running_tell_that_it_lets_none_wait() -> None:
    """An hour without uploads ahead, as after a refusal at the head; then it is tried again."""
    line = Line(slots_=1)
    line.learns(job=45.0, size=10 * MB, seconds=5.0)
    line.runs(1)
    line.now += 35.0
    for job in (2, 3):
        closed_at_once(line, job)
        given_a_slot(line, job, after=0.0)
    assert not line.ahead.room()
    line.polls.done(1, line.now, learn=False)
    line.slots.release(1)
    assert line.ahead.room()  # a free slot is another matter
    line.now += 3600.0
    line.runs(4)
    line.now += 35.0
    assert line.ahead.room()


def test_how_long_a_server_waits_is_asked_again_after_an_hour() -> None:
    """It may have been a deploy of theirs; it may be another server by now."""
    line = Line(slots_=1)
    line.learns(job=45.0, size=10 * MB, seconds=5.0)
    line.runs(1)
    line.uploads(2, 10 * MB)
    line.now += 10.0
    line.ahead.expired(2, closed=True)
    assert line.ahead.longest_hold == 8.0
    line.now += 3600.0
    assert line.ahead.longest_hold == 45.0


def test_what_goes_as_flac_leaves_the_line_sooner() -> None:
    """The file's own size would hold the next upload up for bytes that nobody sends."""
    line = Line(slots_=2)
    line.ahead.answered(10 * MB, 5.0)
    line.uploads(1, 100 * MB, whole=False)
    line.ahead.sends(1, 50 * MB)
    line.ahead.sent(1, 47 * MB)
    assert line.ahead.room()


def test_late_jobs_are_not_uploaded_for_again_and_again() -> None:
    """A job far beyond what others took says nothing of its end: no upload waits for it in vain."""
    line = Line(slots_=1)
    line.learns(job=45.0, size=10 * MB, seconds=5.0)
    line.runs(1)
    line.now += 200.0
    assert not line.ahead.room()


def test_storage_keeps_uploads_for_as_long_as_it_takes() -> None:
    """Wire B: an upload waits at the storage, so it is sent ahead at once; one for each slot."""
    line = Line(keeps=840.0)
    line.ahead.answered(MB, 0.1)
    line.runs(1, 2, 3)
    assert line.ahead.longest_hold == 840.0
    assert line.begins(4, MB) == 3
