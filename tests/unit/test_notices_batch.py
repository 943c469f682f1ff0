"""Who is told what and when: windows, pauses that flap, addresses that fail. A clock by hand."""

from __future__ import annotations

import pytest

from stemwatch.config.notify_keys import EVENTS
from stemwatch.notices.batch import Batch
from stemwatch.notices.events import BUDGET, DELIVERED, PAUSED, QUARANTINED, RESUMED, Event
from stemwatch.notices.summary import Digest

EVERY, HOUR = 60.0, 3600.0


def song(number: int, kind: str = DELIVERED, code: str = "", message: str = "") -> Event:
    if kind == QUARANTINED:
        code, message = "too_large", "it is over 100 MB."
    return Event(kind, name=f"song {number}.mp3", code=code, message=message)


def pause(code: str = "server") -> Event:
    return Event(PAUSED, code=code, message="the API can't be reached.", hint="Nothing to do.")


def resume(code: str = "server") -> Event:
    return Event(RESUMED, code=code)


def batch(*addresses: str, kinds: tuple[str, ...] = EVENTS) -> Batch:
    return Batch(addresses or ("a",), kinds=kinds, every=EVERY, again=HOUR)


def told(batch: Batch, now: float) -> str:
    """What the only address is sent now, title and body; "" if nothing."""
    due = batch.take(now)
    for name in due:
        batch.sent(name, now)
    return "\n".join(f"{digest.title('nas')}\n{digest.body()}" for digest in due.values())


def test_the_first_event_opens_a_window_and_one_message_ends_it() -> None:
    """Two hundred songs in a minute are one message; what comes later is another one."""
    waits = batch()
    assert waits.due() is None
    for number in range(200):
        waits.add(song(number), now=10 + number / 10)
    assert waits.due() == 10 + EVERY
    assert waits.take(10 + EVERY - 0.1) == {}
    text = told(waits, 10 + EVERY)
    assert text.startswith("stemwatch (nas): 200 delivered\n")
    assert "song 0.mp3, song 1.mp3" in text
    assert "and 195 more." in text
    assert waits.due() is None
    waits.add(song(200), now=100)
    assert waits.due() == 100 + EVERY


def test_what_nobody_asked_for_opens_nothing() -> None:
    waits = batch(kinds=(QUARANTINED,))
    waits.add(song(1), 0)
    assert waits.due() is None
    waits.add(song(2, QUARANTINED), 5)
    assert told(waits, 65) == (
        "stemwatch (nas): 1 quarantined\nQuarantined: song 2.mp3 (too_large): it is over 100 MB."
    )


def test_a_message_says_what_is_urgent_first() -> None:
    waits = batch()
    waits.add(song(1), 0)
    waits.add(pause(), 0)
    waits.add(Event(BUDGET, code="budget.minutes_per_day", message="0.0 minutes are left."), 1)
    for number in range(10):
        waits.add(song(number, QUARANTINED), 2)
    title, *lines = told(waits, 60).splitlines()
    assert title == (
        "stemwatch (nas): 1 delivered, 10 quarantined, paused (server), budget used up"
    )
    assert lines[0].startswith("Quarantined: song 0.mp3")
    assert lines[8] == "and 2 more in quarantine; `stemwatch status` lists them."
    assert lines[9] == "Budget used up (budget.minutes_per_day): 0.0 minutes are left."
    assert lines[10] == "Paused (server): the API can't be reached. Nothing to do."
    assert lines[11] == "Delivered: song 1.mp3."


def test_a_pause_that_is_over_before_the_message_is_not_told() -> None:
    """Neither is its end: nobody was worried."""
    waits = batch()
    waits.add(pause("rate_limited"), 0)
    waits.add(resume("rate_limited"), 59)
    assert waits.due() is None
    assert told(waits, 1000) == ""


def test_a_pause_that_lasts_is_told_and_so_is_its_end() -> None:
    waits = batch()
    waits.add(pause(), 0)
    assert "paused (server)" in told(waits, 60)
    waits.add(resume(), 500)
    assert told(waits, 560).startswith("stemwatch (nas): resumed (server)\nGoes on (server).")


def test_a_pause_that_flaps_is_told_once_an_hour() -> None:
    """Down for two minutes, up for two, all day: one message of each an hour."""
    waits = batch()
    messages = []
    for minute in range(0, 24 * 60, 2):
        waits.add(pause() if minute % 4 == 0 else resume(), minute * 60.0)
        now = [told(waits, minute * 60.0 + second) for second in range(0, 120, 10)]
        messages += [text.splitlines()[0].split(": ")[1] for text in now if text]
    assert messages.count("paused (server)") == pytest.approx(24, abs=2)
    assert messages.count("resumed (server)") == pytest.approx(24, abs=2)


def test_a_pause_that_comes_back_to_stay_is_told_after_the_hour() -> None:
    """Whoever was told that it goes on must hear that it does not."""
    waits = batch()
    waits.add(pause(), 0)
    assert told(waits, 60)
    waits.add(resume(), 100)
    assert "Goes on" in told(waits, 160)
    waits.add(pause(), 200)
    assert waits.due() == 60 + HOUR
    assert told(waits, 3000) == ""
    assert "Paused (server)" in told(waits, 60 + HOUR)


def test_each_pause_has_an_hour_of_its_own() -> None:
    waits = batch()
    waits.add(pause("disk"), 0)
    assert "paused (disk)" in told(waits, 60)
    waits.add(pause("credit"), 70)
    assert "paused (credit)" in told(waits, 130)


def test_a_delivery_whose_original_stays_is_told_with_the_cause() -> None:
    """It is urgent, and one such cause is one line, however many songs meet it."""
    waits = batch()
    for number in range(20):
        waits.add(song(number, code="blocked", message="/archive/a: a file is in the way."), 0)
    (digest,) = waits.take(60).values()
    assert digest.urgent
    assert digest.body().splitlines() == [
        "Not moved from the inbox (blocked): song 19.mp3: /archive/a: a file is in the way.",
        "Delivered: song 0.mp3, song 1.mp3, song 2.mp3, song 3.mp3, song 4.mp3 and 15 more.",
    ]


def test_what_an_address_did_not_take_waits_for_it_alone() -> None:
    """The other one is told once; the failing one gets everything, summed up, when it is back."""
    waits = batch("good", "bad")
    waits.add(song(1), 0)
    assert set(waits.take(60)) == {"good", "bad"}
    waits.sent("good", 61)
    assert waits.failed("bad", 61) is True
    waits.add(song(2), 70)
    assert set(waits.take(130)) == {"good", "bad"}
    waits.sent("good", 131)
    assert waits.failed("bad", 131) is False
    assert waits.due() == 131 + 2 * EVERY
    (digest,) = waits.take(131 + 2 * EVERY).values()
    assert digest.title("nas") == "stemwatch (nas): 2 delivered"
    assert digest.body() == "Delivered: song 1.mp3, song 2.mp3."


def test_tries_become_rare_and_never_stop() -> None:
    """One, two, four ... windows apart, an hour at most."""
    waits = batch()
    waits.add(song(1), 0)
    now, gaps = 60.0, []
    for _ in range(12):
        assert waits.take(now)
        waits.failed("a", now)
        due = waits.due()
        assert due is not None
        gaps.append(due - now)
        now = due
    assert gaps[:4] == [60, 120, 240, 480]
    assert gaps[-1] == HOUR
    assert waits.unsent == 1


def test_months_of_events_for_a_dead_address_stay_small() -> None:
    """Counted, and the first ones named: nothing grows with what happens."""
    waits = batch()
    for number in range(50_000):
        waits.add(song(number, QUARANTINED if number % 2 else DELIVERED), number)
        if number % 100 == 0:
            for name in waits.take(number):
                waits.failed(name, number)
    (digest,) = waits.take(1e9, rest=True).values()
    assert digest.counts == {QUARANTINED: 25_000, DELIVERED: 25_000}
    assert sum(map(len, digest.songs.values())) == 13
    assert len(digest.body()) < 2000


def test_the_rest_is_everything_at_once() -> None:
    """At the end: an open window, a pause that is young, an address in its backoff."""
    waits = batch()
    waits.add(song(1), 0)
    waits.take(60)
    waits.failed("a", 60)
    waits.add(song(2), 61)
    waits.add(pause(), 62)
    (digest,) = waits.take(63, rest=True).values()
    assert digest.counts == {DELIVERED: 2, PAUSED: 1}


def test_an_address_that_can_t_be_one_is_left_out() -> None:
    waits = batch()
    waits.add(song(1), 0)
    assert waits.take(60)
    waits.drop("a")
    waits.add(song(2), 70)
    assert told(waits, 500) == ""
    assert waits.due() is None


def test_names_and_words_from_outside_can_t_fake_a_line_or_leak_an_address() -> None:
    digest = Digest()
    digest.add(
        Event(
            QUARANTINED,
            name="a\nPaused (credit)\u202e.mp3\udcff",
            code="failed",
            message="no answer from https://cdn.example/x?X-Amz-Signature=abcdef " + "y" * 5000,
        )
    )
    assert len(digest.body().splitlines()) == 1
    digest.body().encode()
    assert "abcdef" not in digest.body()
    assert len(digest.body()) < 300
