"""Numbers that only grow: of the process, and of the journal's whole history."""

from __future__ import annotations

from collections.abc import Mapping

from stemwatch.web.ledger import Ledger
from stemwatch.workers.counters import BOUNDS, Bytes, Durations

Row = tuple[int, int, float, str]


def history(*steps: tuple[int, float, str]) -> list[Row]:
    return [(rowid, *step) for rowid, step in enumerate(steps, 1)]


def counts(durations: Durations) -> Mapping[str, float]:
    return dict(durations.buckets)


def test_a_transfer_that_begins_again_is_counted_again() -> None:
    """The line carried both; and two at once don't mix."""
    sent = Bytes()
    one, other = sent.transfer(), sent.transfer()
    for count in (10, 30, 30, 5, 8):
        one(count)
    other(100)
    assert sent.total == 30 + 8 + 100


def test_durations_are_cumulative_and_their_ends_belong_to_them() -> None:
    """As Prometheus has it: `le` means less or equal, and +Inf is all."""
    durations = Durations()
    for seconds in (0.0, 1.0, 1.01, 9999.0):
        durations.add(seconds)
    assert durations.sum == 10001.01
    assert counts(durations)["1.0"] == 2
    assert counts(durations)["2.5"] == 3
    assert counts(durations)[str(BOUNDS[-1])] == 3
    assert counts(durations)["+Inf"] == 4


def test_the_history_adds_up() -> None:
    """Entries by state, seconds by stage; a stage that ended otherwise has no time."""
    ledger = Ledger()
    ledger.add(
        history(
            (1, 0.0, "queued"), (2, 0.0, "queued"), (3, 0.0, "queued"),
            (1, 5.0, "submitting"), (1, 6.0, "separating"), (2, 7.0, "submitting"),
            (2, 8.0, "separating"), (1, 36.0, "separated"), (2, 40.0, "quarantined"),
            (1, 40.0, "delivered"), (1, 41.0, "done"), (3, 50.0, "delivered"),
        )
    )  # fmt: skip
    assert ledger.entered["queued"] == 3
    assert ledger.entered["delivered"] == 2
    assert ledger.entered["quarantined"] == 1
    assert (ledger.seconds["separating"].sum, ledger.seconds["download"].sum) == (30.0, 4.0)
    assert counts(ledger.seconds["separating"])["+Inf"] == 1
    assert counts(ledger.seconds["download"])["+Inf"] == 1


def test_retries_are_timed_from_where_they_resume_and_no_time_runs_backwards() -> None:
    """A night in quarantine is no download; a clock that is set back takes nothing away."""
    ledger = Ledger()
    ledger.add(history((1, 10.0, "separated"), (1, 20.0, "quarantined")))
    ledger.add([(3, 1, 9000.0, "separated"), (4, 1, 9003.0, "delivered")])
    ledger.add([(5, 2, 100.0, "separating"), (6, 2, 50.0, "separated")])
    assert ledger.seconds["download"].sum == 3.0
    assert ledger.seconds["separating"].sum == 0.0
    assert counts(ledger.seconds["separating"])["+Inf"] == 1


def test_pieces_add_up_to_the_whole() -> None:
    """Wherever the scrapes fell: what is read twice would count twice."""
    rows = history(
        *((job, float(10 * job + step), state)
          for job in range(1, 5)
          for step, state in enumerate(("queued", "submitting", "separating", "separated",
                                        "delivered", "done")))
    )  # fmt: skip
    whole, pieces = Ledger(), Ledger()
    whole.add(rows)
    for start in range(0, len(rows), 5):
        pieces.add(rows[start : start + 5])
    assert pieces.entered == whole.entered
    assert pieces.seconds["download"].buckets == whole.seconds["download"].buckets
