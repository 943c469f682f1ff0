"""What `status` says and why, on screens of each size; a live view never hides the newest."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from stemwatch.operations.status import listed
from stemwatch.outbox.sidecar import rfc3339
from stemwatch.ui import standing as view
from stemwatch.ui import waits
from tests.support.commands import a_job
from tests.support.screens import assert_screen
from tests.support.standing import NOTHING_WAITS, Document, budget, document, inbox

NOW = 1_800_000_000.0
pytestmark = pytest.mark.usefixtures("greenwich")


def at(before: float) -> str:
    found = rfc3339(NOW - before)
    assert found is not None
    return found


def song(number: int, code: str, before: float, **changes: Any) -> Document:
    return {
        "id": number,
        "name": f"Song {number}.mp3",
        "code": code,
        "message": f"it is {code}.",
        "hint": "Copy it again." if code == "truncated" else "",
        "since": at(before),
        "retry": f"stemwatch retry {number}",
        "may_be_charged_again": code == "submission_unconfirmed",
        **changes,
    }


def busy(running: int = 3, delivered: int = 5, quarantined: int = 9) -> Document:
    """A service with something of everything."""
    stages = (("upload", 12.3e6, 45.6e6), ("separating", 20.0, 80.0), ("download", 1e6, 4e6))
    codes = ("truncated", "truncated", "not_audio", "too_long", "truncated", "corrupt", "bad_stem",
             "internal", "submission_unconfirmed")  # fmt: skip
    return document(
        running=[
            {
                "id": n, "name": f"Song {n}.mp3", "inbox": None,
                "relpath": f"Party/An Album of Songs/Song {n}.mp3",
                "stage": stages[n % 3][0], "done": stages[n % 3][1],
                "total": stages[n % 3][2], "unit": "bytes", "since": at(40),
            }
            for n in range(running)
        ],
        remaining={"songs": 6, "audio_minutes": 22.5, "seconds": 754},
        delivered=[
            {
                "id": n, "name": f"Done {n}.mp3", "relpath": f"Done {n}.mp3", "inbox": None,
                "at": at(60.0 * n), "bpm": 100.0 + n, "key": "C major" if n else None,
                "folder": f"/srv/music/outbox/Done {n}", "price": 0.37, "reused": False,
            }
            for n in range(delivered)
        ],
        quarantined=[song(n + 1, codes[n % 9], 100.0 * n) for n in range(quarantined)],
        inboxes=[inbox(waits=SIX)],
        credit={"seconds": 3252.0, "at": at(600)},
    )  # fmt: skip


SIX = {
    **NOTHING_WAITS,
    "count": 6,
    "reasons": {"changing": 2, "held": 1, "kind": 3},
    "endings": {".zip": 2, ".pdf": 1},
    "files": [
        {"relpath": "a.mp3", "reason": "changing", "detail": None},
        {"relpath": "b.mp3", "reason": "changing", "detail": None},
        {"relpath": "c.mp3", "reason": "held", "detail": "c.mp3.part"},
        {"relpath": "d.zip", "reason": "kind", "detail": None},
    ],
}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_status_on_screens_of_each_width(width: int) -> None:
    """All of it; a terminal wraps what is longer than it is wide."""
    assert_screen("status", view.lines(busy(), NOW, view.Room(width=width, names=True)), width)


def terminal(width: int, height: int) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, color_system=None)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 24), (200, 60)])
def test_a_live_view_on_screens_of_each_size(width: int, height: int) -> None:
    """It fits, and the newest of each list is on it, however much there is."""
    found = view.fitted(busy(20, 5, 40), NOW, terminal(width, height))
    assert len(found) < height
    shown = "\n".join(line.plain for line in found)
    assert "Done 0.mp3" in shown
    assert "19.mp3 " in shown or width == 40  # its name is cut there
    assert "Song 1.mp3" in shown
    assert_screen(f"watch-of-{height}-rows", found, width)


def test_a_live_view_that_fits_in_no_way_says_how_much_is_left() -> None:
    """Rather than to show half of it as if that were all."""
    found = view.fitted(busy(20, 5, 40), NOW, terminal(80, 8))
    assert len(found) == 7
    assert "more lines: `stemwatch status`" in found[-1].plain


def test_what_waits_is_one_sentence() -> None:
    """How many for each reason, and which kinds of file are no songs."""
    told = "3 wait: 2 still change, 1 has .part beside it; left alone: 3 are no songs (.zip .pdf)"
    assert waits.sentence(SIX, running=True) == told
    one = {**NOTHING_WAITS, "count": 1, "reasons": {"next": 1}}
    assert waits.sentence(one, running=True) == "1 waits: 1 is next"
    assert waits.sentence(one, running=False) == "1 waits: 1 waits for the service"
    assert waits.sentence(NOTHING_WAITS, running=True) == "nothing waits to be taken"
    links = {**NOTHING_WAITS, "count": 2, "reasons": {"link": 2}}
    told = "nothing waits to be taken; left alone: 2 are links"
    assert waits.sentence(links, running=True) == told
    away = {**NOTHING_WAITS, "fault": "No such file or directory"}
    assert waits.sentence(away, running=True) == "can't be looked at: No such file or directory"


def test_another_configuration_than_the_service_s_is_told() -> None:
    """Two files with two inboxes are a usual reason why nothing happens."""
    found = document(configuration="/home/a/stemwatch.yaml")
    told = "\n".join(line.plain for line in view.lines(found, NOW, view.Room()))
    assert told.startswith("Configuration: /home/a/stemwatch.yaml\n")
    assert "It runs with another configuration: /etc/stemwatch/config.yaml" in told
    none = "\n".join(
        line.plain for line in view.lines(document(configuration=None), NOW, view.Room())
    )
    assert none.startswith("Configuration: none was found, so the defaults")


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
    one = listed(a_job("a.mp3", id=4, code="submission_unconfirmed", message="no answer."))
    told = shown(document(quarantined=[one]))
    assert "stemwatch retry 4  # it may be charged again" in told


def test_a_retry_is_not_offered_where_the_same_file_ends_the_same() -> None:
    """It has to be copied again or given up; of several, too."""
    for code in ("not_audio", "truncated", "protected", "too_short"):
        told = shown(document(quarantined=[song(4, code, 0), song(5, code, 1)]))
        assert "    stemwatch discard 4 5\n" in told
        assert "stemwatch retry" not in told
    assert "    stemwatch retry 4\n" in shown(document(quarantined=[song(4, "overdue", 0)]))


def test_a_pause_tells_the_day_on_which_it_ends() -> None:
    """10:00 may be that of tomorrow."""
    ends = {"since": "1970-01-01T00:00:00Z", "next_try": "1970-01-02T10:00:00Z"}
    pause = {"code": "on_hold", "message": "paused.", "hint": "`stemwatch resume` ends it."}
    told = shown(document(pauses=[{**pause, **ends, "inbox": None}]))
    assert ", until 1970-01-02 10:00 (in 1 d); `stemwatch resume` ends it." in told


def test_what_a_service_left_at_the_server_is_told() -> None:
    """After a crash nothing runs, and something is separated all the same."""
    one, two = (shown(document(left_behind=count)) for count in (1, 2))
    assert "1 song was submitted before the service ended: the next start goes on with it" in one
    assert "2 songs were submitted before the service ended" in two
    assert "submitted" not in shown(document())


def test_the_songs_that_wait_are_named_in_their_order_where_that_is_asked() -> None:
    """As many as of any list."""
    waiting = [
        {"id": n, "name": f"{n}.mp3", "relpath": f"A/{n}.mp3", "inbox": None, "first": n == 9}
        for n in (9, 1, 2)
    ]
    rooms = view.Room(names=True, listed=2), view.Room()
    named, plain = (
        [line.plain for line in view.lines(document(next=waiting), NOW, room)] for room in rooms
    )
    begin = named.index("Queue: 3 queued") + 1
    assert named[begin : begin + 3] == [
        "  9 A/9.mp3, put first",
        "  1 A/1.mp3",
        "  and 1 more (all with `--json`)",
    ]
    assert not [line for line in plain if "A/9.mp3" in line]
