"""When a file has stopped changing, on a clock made of numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.inbox.scan import Found
from stemwatch.inbox.settle import Settler, Verdict, quiet_seconds
from stemwatch.job import Identity

ONE = Identity(1, 10, 100, 5)
GREW = ONE._replace(size=200)


def found(path: str = "/in/a.mp3", identity: Identity = ONE) -> Found:
    return Found(path, path.rpartition("/")[2], identity)


def settler(**changes: object) -> Settler:
    values = {"samples": 3, "capacity": 4, "patience": 100.0, "compare_inode": True} | changes
    return Settler(8.0, **values)  # type: ignore[arg-type]


def settle(s: Settler, identity: Identity, start: float, path: str = "/in/a.mp3") -> float:
    """Sample whenever it is due; when it settled."""
    for _ in range(20):
        now = s.next_due()
        assert now is not None
        assert s.due(now, 10) == [path]
        if s.sample(path, identity, now) is Verdict.SETTLED:
            return now - start
    raise AssertionError("never settled")


def test_settles_exactly_at_the_end_of_the_window() -> None:
    """An unchanged file waits for the quiet window and not longer, and is due no more."""
    s = settler()
    assert s.track(found(), 1000.3)
    assert settle(s, ONE, 1000.3) == pytest.approx(8.0)
    assert s.next_due() is None
    assert len(s) == 1


@pytest.mark.parametrize(
    "changed",
    [
        ONE._replace(size=99),
        ONE._replace(mtime_ns=4),
        ONE._replace(inode=11),
        ONE._replace(device=2),
    ],
)
def test_any_change_starts_the_window_again(changed: Identity) -> None:
    """Size, mtime (also backwards), inode and device all count, at the last moment too."""
    s = settler()
    s.track(found(), 0.0)
    now = 0.0
    while now < 8.0:
        now = s.next_due() or 0.0
        s.due(now, 10)
        verdict = s.sample("/in/a.mp3", changed if now >= 8.0 else ONE, now)
        # in the middle of its window only the end is awaited; a change starts it again
        assert verdict is (Verdict.WAIT if now >= 8.0 else Verdict.STILL)
    assert settle(s, changed, now) == pytest.approx(8.0)


def test_network_disks_compare_no_inode() -> None:
    """Made-up inodes of a network mount don't keep a file from settling."""
    s = settler(compare_inode=False)
    s.track(found(), 0.0)
    assert settle(s, ONE._replace(inode=77, device=9), 0.0) == pytest.approx(8.0)


def test_late_samples_are_not_enough() -> None:
    """After a suspend, two equal looks far apart don't stand for the samples that are missing."""
    s = settler(samples=3)
    s.track(found(), 0.0)
    assert s.due(500.0, 10)
    assert s.sample("/in/a.mp3", ONE, 500.0) is Verdict.STILL
    assert s.due(500.0, 10) == []
    assert settle(s, ONE, 500.0) > 0


def test_tracking_again_changes_nothing_unless_the_file_did() -> None:
    """A rescan neither shortens nor prolongs the wait; a new size restarts it."""
    s = settler()
    s.track(found(), 0.0)
    due = s.next_due()
    assert s.track(found(), 1.0)
    assert s.next_due() == due
    assert s.track(found(identity=GREW), 3.0)
    assert settle(s, GREW, 3.0) == pytest.approx(8.0)


def test_gone_is_forgotten() -> None:
    """A file that vanished is reported once and takes no place."""
    s = settler()
    s.track(found(), 0.0)
    assert s.sample("/in/a.mp3", None, 1.0) is Verdict.GONE
    assert (len(s), s.next_due()) == (0, None)


def test_incomplete_waits_for_patience_then_tells() -> None:
    """Missing bytes are waited for, ever more seldom, and reported right when patience ends."""
    s = settler()
    s.track(found(), 0.0)
    now = start = settle(s, ONE, 0.0)
    looks = 0
    while not s.incomplete("/in/a.mp3", now):
        looks += 1
        now = s.next_due() or 0.0
        assert s.due(now, 1) == ["/in/a.mp3"]
        assert s.sample("/in/a.mp3", ONE, now) is Verdict.SETTLED
    assert now - start == pytest.approx(100.0)
    assert looks <= 8


def test_incomplete_file_that_grows_has_its_patience_back() -> None:
    """A slow copy is not called truncated while it still makes progress."""
    s = settler()
    s.track(found(), 0.0)
    settle(s, ONE, 0.0)
    assert not s.incomplete("/in/a.mp3", 8.0)
    s.due(90.0, 1)
    assert s.sample("/in/a.mp3", GREW, 90.0) is Verdict.WAIT
    settle(s, GREW, 90.0)
    assert not s.incomplete("/in/a.mp3", 150.0)


def test_full_says_so_and_files_nobody_can_open_make_room() -> None:
    """Memory is bounded; unreadable files don't keep good ones out."""
    s = settler(capacity=2)
    assert s.track(found("/in/1"), 0.0)
    assert s.track(found("/in/2"), 0.0)
    assert not s.track(found("/in/3"), 0.0)
    s.busy("/in/1", 1.0)
    assert s.busy_count == 1
    assert s.track(found("/in/3"), 2.0)
    assert ("/in/1" in s, "/in/3" in s, len(s)) == (False, True, 2)


def test_busy_backs_off_and_starts_the_window_again() -> None:
    """What can't be opened is tried ever more seldom, and proves nothing about standing still."""
    s = settler()
    s.track(found(), 0.0)
    now, pauses = 0.0, []
    for _ in range(12):
        due = s.next_due() or 0.0
        pauses.append(due - now)
        now = due
        s.due(now, 1)
        s.busy("/in/a.mp3", now)
    assert max(pauses) == 300.0
    now = s.next_due() or 0.0
    s.due(now, 1)
    assert s.sample("/in/a.mp3", ONE, now) is Verdict.WAIT
    assert settle(s, ONE, now) == pytest.approx(8.0)


def test_lost_answer_is_asked_for_again() -> None:
    """A path handed out whose sample never came is due again: nothing is stranded."""
    s = settler()
    s.track(found(), 0.0)
    assert s.due(5.0, 1) == ["/in/a.mp3"]
    assert s.due(5.0, 1) == []
    assert s.due(20.0, 1) == ["/in/a.mp3"]


def test_many_files_share_their_wake_ups() -> None:
    """4,096 files that came over a second cost few different wake-ups before their last sample."""
    s = settler(capacity=4096)
    for n in range(4096):
        s.track(found(f"/in/{n}"), n / 4096)
    wake_ups = 0
    while (now := s.next_due()) is not None and now < 8.0:
        wake_ups += 1
        for path in s.due(now, 5000):
            s.sample(path, ONE, now)
    assert wake_ups <= 4


def test_due_is_limited_and_in_order() -> None:
    """A burst is handed out in pieces, the longest waiting first."""
    s = settler()
    for n in range(4):
        s.track(found(f"/in/{n}"), 10.0 * n)
    assert s.due(100.0, 3) == ["/in/0", "/in/1", "/in/2"]
    assert s.due(100.0, 3) == ["/in/3"]


@given(st.lists(st.tuples(st.floats(0.01, 20), st.integers(0, 2)), max_size=60))
def test_settled_only_after_a_quiet_window(steps: list[tuple[float, int]]) -> None:
    """Whatever the times and sizes, SETTLED means 3 equal looks over at least the window."""
    s = settler()
    s.track(found(identity=ONE._replace(size=0)), 0.0)
    now, seen = 0.0, [(0.0, 0)]
    for pause, size in steps:
        now += pause
        seen.append((now, size))
        if s.sample("/in/a.mp3", ONE._replace(size=size), now) is Verdict.SETTLED:
            equal = [t for t, other in seen if other == size and t >= _since(seen)]
            assert len(equal) >= 3
            assert now - equal[0] >= 8.0


def _since(seen: list[tuple[float, int]]) -> float:
    since, size = seen[-1]
    for when, other in reversed(seen):
        if other != size:
            break
        since = when
    return since


def test_heap_stays_bounded() -> None:
    """Files that come and go leave nothing behind."""
    s = settler(capacity=10)
    for n in range(5000):
        s.track(found(f"/in/{n}"), float(n))
        s.forget(f"/in/{n}")
    assert len(s._heap) < 200


def test_quiet_window_on_network() -> None:
    """30 s on network mounts by default; a configured number is meant everywhere."""
    assert quiet_seconds(5, network=False) == 5
    assert quiet_seconds(5, network=True) == 30
    assert quiet_seconds(7, network=True) == 7
    assert quiet_seconds(60, network=True) == 60
