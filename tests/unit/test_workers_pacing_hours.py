"""The hours of `schedule.submit`, with a clock of our own, also on days of 23 and 25 hours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwatch import config
from stemwatch.config.groups.schedule import checked_submit, windows
from stemwatch.errors import ConfigFault
from stemwatch.operations.control.holding import end_of
from stemwatch.wiring.tuning import hours_of
from stemwatch.workers.pacing.hours import Hours


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put forward at 2:00 on 29 March 2026, and back at 3:00 on 25 October."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(day: str, *, fold: int = 0) -> float:
    return datetime.fromisoformat(day).replace(fold=fold).timestamp()


def hours(submit: str) -> Hours:
    return Hours(windows(submit), submit)


@pytest.mark.parametrize(
    ("submit", "now", "begin"),
    [
        ("22:00-07:00", "2026-11-29 21:59", "2026-11-29 22:00"),
        ("22:00-07:00", "2026-11-29 22:00", None),
        ("22:00-07:00", "2026-11-30 06:59:59", None),
        ("22:00-07:00", "2026-11-30 07:00", "2026-11-30 22:00"),
        ("12:00-13:00, 22:00-07:00", "2026-11-30 07:00", "2026-11-30 12:00"),
        ("00:00-24:00", "2026-11-30 00:00", None),
        ("02:30-04:00", "2026-03-29 01:59", "2026-03-29 03:30"),  # 2:30 is not on that day's clock
        ("02:30-04:00", "2026-03-29 03:29", "2026-03-29 03:30"),
        ("01:00-02:30", "2026-10-25 02:29", None),
        ("22:00-07:00", "2026-03-29 07:00", "2026-03-29 22:00"),
        ("22:00-07:00", "2026-10-25 06:59", None),
    ],
)
def test_when_submitting_begins(submit: str, now: str, begin: str | None) -> None:
    assert hours(submit).begin(at(now)) == (None if begin is None else at(begin))


def test_an_hour_that_comes_twice_ends_a_window_once() -> None:
    assert hours("01:00-02:30").begin(at("2026-10-25 02:29", fold=1)) == at("2026-10-26 01:00")


@settings(deadline=None)
@given(st.integers(1_700_000_000, 1_900_000_000), st.integers(0, 1439), st.integers(1, 1439))
def test_nothing_changes_before_the_next_change(now: int, begin: int, length: int) -> None:
    one = Hours([(begin, (begin + length) % 1440)], "")
    change = one.change(now)
    assert now < change <= now + 50 * 3600
    closed = one.begin(now) is not None
    assert (one.begin(change - 0.5) is not None) is closed
    assert (one.begin(change) is not None) is not closed


def test_hours_have_one_form_and_faults_say_which() -> None:
    assert checked_submit("7:05 - 09:00,22:00-24:00") == "07:05-09:00, 22:00-24:00"
    for wrong in ("22-7", "22:00", "25:00-07:00", "22:60-07:00", "07:00-07:00", "", "22:00-07:00,"):
        with pytest.raises(ValueError, match="found"):
            checked_submit(wrong)


def test_an_inbox_has_the_hours_of_all_or_its_own(tmp_path: Path) -> None:
    def read(text: str) -> dict[str | None, Hours]:
        path = tmp_path / "stemwatch.yaml"
        path.write_text(text)
        return hours_of(config.load(str(path), env={"HOME": str(tmp_path)}))

    text = """
schedule: {submit: "22:00-07:00"}
inboxes:
  a: {}
  b: {schedule: {submit: "12:00-13:00"}}
  c: {schedule: {submit: null}}
"""
    found = read(text)
    assert {name: one.told for name, one in found.items()} == {
        "a": "22:00-07:00",
        "b": "12:00-13:00",
    }
    assert found["b"].key == "inboxes.b.schedule.submit"
    assert {name: one.told for name, one in read("schedule: {submit: 9:00-10:00}").items()} == {
        None: "09:00-10:00"
    }
    with pytest.raises(ConfigFault, match=r"2: schedule\.submit: found '22'; allowed are hours"):
        read("\nschedule: {submit: '22'}")


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("22:00", "2026-11-29 22:00"),
        ("12:00", "2026-11-30 12:00"),
        ("2h", "2026-11-29 14:30"),
        ("1h30m", "2026-11-29 14:00"),
        ("90 min", "2026-11-29 14:00"),
        ("2026-12-01 08:00", "2026-12-01 08:00"),
        ("2026-12-01", "2026-12-01 00:00"),
    ],
)
def test_the_end_of_a_pause(words: str, end: str) -> None:
    assert end_of(words, at("2026-11-29 12:30")) == at(end)


@pytest.mark.parametrize(
    "words", ["", "25:00", "soon", "2", "0h", "2026-11-28", "-2h", "99999999d"]
)
def test_what_is_no_end_of_a_pause_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=r"allowed is 22:00, 2h|is over already"):
        end_of(words, at("2026-11-29 12:30"))
