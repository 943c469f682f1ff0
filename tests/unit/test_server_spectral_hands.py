"""Threads that share a block's work: everything is done once, and no hand waits for an idle one."""

from __future__ import annotations

import threading

import pytest

from stemwatch.server.engines.spectral.hands import ALONE, Hands


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_item_is_done_once(threads: int) -> None:
    done: list[int] = []
    with Hands(threads) as hands:
        hands.each(done.append, range(100))
    assert sorted(done) == list(range(100))


def test_each_shares_the_items_between_the_hands() -> None:
    """Two items that wait for each other can only be done by two hands at once."""
    both = threading.Barrier(2, timeout=20)
    with Hands(2) as hands:
        hands.each(lambda _: both.wait(), range(2))


def test_a_fault_in_any_item_is_told() -> None:
    def fail(item: int) -> None:
        if item == 7:
            raise ValueError("seven")

    for hands in (ALONE, Hands(2)):
        with hands, pytest.raises(ValueError, match="seven"):
            hands.each(fail, range(10))


def test_who_asks_for_what_nobody_has_begun_makes_it_himself() -> None:
    """The only other hand is busy until this one has its result: waiting for it would never end."""
    free = threading.Event()
    with Hands(2) as hands:
        busy = hands.begin(free.wait, 20)
        mine = hands.begin(threading.get_ident)
        assert mine() == threading.get_ident()
        free.set()
        assert busy()


@pytest.mark.parametrize(("count", "each"), [(0, 1), (1, 4), (10, 1), (1038, 4)])
def test_shares_cover_all_without_an_overlap(count: int, each: int) -> None:
    with Hands(2) as hands:
        shares = hands.shares(count, each)
    assert [n for share in shares for n in range(share.start, share.stop)] == list(range(count))
