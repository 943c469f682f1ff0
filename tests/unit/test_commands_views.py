"""Bars and the status view, given plain data."""

import io

import pytest
from rich.console import Console

from stemwatch.ui import plain, text
from stemwatch.ui import standing as view
from stemwatch.ui.bars import Bars
from stemwatch.workers.progress import Running
from tests.support.commands import a_job
from tests.support.standing import Document, budget, document, inbox

ODD = "[bold]x{task.id}\x1b[2J\n\udcff%s :smile:.mp3"


def test_piped_bars_print_one_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    """A stage is told once, however often the numbers change."""
    with Bars(terminal=False) as bars:
        for done in (0, 10, 20):
            bars.update([{"id": 1, "name": "a.mp3", "stage": "upload", "done": done}], 0, 2)
        bars.update([Running(1, "a.mp3", "separating", 0.0)], 0, 2)
        bars.tell("a.mp3: done")
    assert capsys.readouterr().out.splitlines() == [
        "a.mp3: upload",
        "a.mp3: separating",
        "a.mp3: done",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_no_name_breaks_the_bars(terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """Markup, format fields, escapes, newlines and bytes in a name are shown, never obeyed."""
    entry = {"id": 1, "name": ODD, "stage": "upload", "done": 5.0, "total": None, "since": 0}
    with Bars(terminal=terminal) as bars:
        bars.update([entry, {**entry, "id": 2, "stage": "separating", "total": 1.0}], 0, None)
        bars.update([], 1, 1)
        bars.tell(ODD, False)
    printed = capsys.readouterr().out
    assert "[bold]x{task.id}\\x1b[2J\\x0a\\xff%s :smile:.mp3" in printed
    assert "\x1b[2J" not in printed


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ({"stage": "upload", "done": 1e6, "total": 4e6}, "1.0 MB of 4.0 MB"),
        ({"stage": "download", "done": 1e6, "total": None}, "1.0 MB"),
        ({"stage": "separating", "done": 0.25, "total": 1.0}, "25%"),
        ({"stage": "separating", "done": 3, "total": 30.0, "since": 100.0}, "20 s"),
        ({"stage": "delivering", "done": 0, "total": None, "since": None}, "0 s"),
    ],
)
def test_amounts_are_in_the_unit_of_their_stage(entry: dict[str, object], shown: str) -> None:
    """Bytes while it travels, a share or a time while it separates."""
    assert text.amount(entry, 120.0) == shown


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7300, "2 h"), (9e5, "10 d")]
)
def test_spans_are_told_in_their_largest_unit(seconds: float, words: str) -> None:
    """Nobody counts 86,400 seconds."""
    assert text.span(seconds) == words


def test_a_moment_is_local_and_relative() -> None:
    """Soon by the clock, long ago with its date."""
    assert text.when(1000.0, 940.0).endswith(" (in 1 min)")
    assert "-" in text.when(0.0, 10 * 86400.0)
    assert text.when(0.0, 10 * 86400.0).endswith(" (10 d ago)")


def shown(found: Document) -> str:
    out = io.StringIO()
    console = Console(file=out, markup=False, width=400)
    for line in view.lines(found, 0.0, view.Room(width=100)):
        console.print(line, soft_wrap=True)
    return out.getvalue()


def test_the_view_says_why_nothing_goes_on_and_what_mends_it() -> None:
    """A pause has its reason, its hint and its next try; a budget its end and its key."""
    pause = {
        "code": "auth",
        "message": "The key was refused.",
        "hint": "Renew it.",
        "inbox": None,
        "next_try": "1970-01-01T00:01:00Z",
    }
    holding = {"files": 2, "until": "1970-01-02T00:00:00Z", "key": "budget.minutes_per_day"}
    told = shown(document(pauses=[pause], budget=budget(holding=holding)))
    assert "Paused (auth): The key was refused. Next try" in told
    assert "(in 1 min)" in told
    assert "Renew it." in told
    assert "2 files wait until" in told
    assert "the limit is budget.minutes_per_day" in told
    assert "1.50 of 10 min today (0.15 EUR), 1.50 min this month (0.15 EUR)" in told


def test_the_credit_is_shown_with_the_moment_it_was_told() -> None:
    """Rounded down; nothing where the API can't say."""
    credit = {"seconds": 3257.9, "at": "1970-01-01T00:00:00Z"}
    found = document(credit=credit)
    assert "Credit: 54.2 minutes left (" in shown(found)
    assert "Credit: any number of minutes left" in shown(
        document(credit={**credit, "seconds": 1e9})
    )
    assert "Credit" not in shown(document())


def test_the_view_tells_what_each_of_several_inboxes_does() -> None:
    """Its songs, its minutes and what holds only it; a single one is what all the rest tells of."""
    queue = {**document()["queue"], "done": 4}
    found = document(inboxes=[inbox("dj", queue=queue)])
    found["pauses"] = [
        {"code": "disk", "message": "No disk.", "hint": "", "inbox": "dj", "next_try": None}
    ]
    told = shown(found)
    assert "Inbox dj: 3 queued; 4 done" in told
    assert "Paused (disk, dj): No disk." in told
    assert told.count("1.50 of 10 min today (0.15 EUR)") == 2
    alone = shown(document())
    assert "Inbox dj" not in alone
    assert "Inbox: nothing waits to be taken" in alone


def test_the_view_names_the_command_for_each_quarantined_song() -> None:
    """What may be charged again is said to be so."""
    from stemwatch.operations.status import listed

    one = listed(a_job("a.mp3", id=4, code="submission_unconfirmed", message="no answer."))
    told = shown(document(quarantined=[one]))
    assert "stemwatch retry 4  # it may be charged again" in told


def test_the_brief_line_changes_with_what_matters_only() -> None:
    """Bytes that went through are no news, a stage is."""
    entry = {"name": "a", "stage": "upload", "done": 1}
    before = plain.brief(document(running=[entry]))
    assert before == plain.brief(document(running=[{**entry, "done": 2}]))
    assert before != plain.brief(document(running=[{**entry, "stage": "download"}]))
