"""The pauses: what each holds back, when it is tried again, what ends it."""

from __future__ import annotations

import random

import pytest

from stemwatch.codes import FETCH, FILE, POLL, SUBMIT
from stemwatch.errors import PauseService
from stemwatch.workers.pacing.gate import Gate
from stemwatch.workers.pacing.timing import Timing
from tests.support.waiting import Clock

ALL = (SUBMIT, POLL, FETCH, FILE)
BY_TRIAL = ("credit", "endpoint", "server_error", "storage")
HELD = {
    "auth": (SUBMIT, POLL),
    "server": (SUBMIT, POLL),
    "credit": (SUBMIT,),
    "endpoint": (SUBMIT,),
    "server_error": (SUBMIT,),
    "rate_limited": (SUBMIT,),
    "storage": (SUBMIT, FETCH),
    "disk": (SUBMIT, FETCH),
    "inbox": (SUBMIT, FILE),
    "journal": ALL,
    "anything else": (SUBMIT, FETCH),
}


def fault(code: str, after: float | None = None) -> PauseService:
    return PauseService(f"{code} it is.", code=code, hint="do something", after=after)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate(Timing(), clock, random.Random(7))


def codes(gate: Gate) -> list[str]:
    return [pause.code for pause in gate.pauses]


def waits(gate: Gate, clock: Clock, code: str, count: int) -> list[float]:
    """The seconds between `count` tries that each find nothing changed."""
    found = []
    for _ in range(count):
        (pause,) = (p for p in gate.pauses if p.code == code)
        found.append(pause.until - clock.now)
        clock.now = pause.until
        # Whether a storage is back only a download can tell.
        assert [p.code for p in gate.due()] == ([] if code == "storage" else [code])
        gate.tried(pause)
        assert gate.due() == []  # one try at a time
        gate.in_vain(pause)
    return found


@pytest.mark.parametrize("code", HELD)
def test_a_pause_holds_what_it_concerns(gate: Gate, code: str) -> None:
    """Results that are paid for are fetched wherever that can work."""
    assert gate.pause(fault(code)) is True
    assert gate.pause(fault(code)) is False  # told once
    held = tuple(what for what in ALL if gate.closed(what) is not None)
    assert held == HELD[code]
    assert gate.reopen(code) is True
    assert gate.reopen(code) is False
    assert all(gate.closed(what) is None for what in ALL)


@pytest.mark.parametrize(
    ("code", "bounds"),
    [
        ("server", [(2.5, 5), (5, 10), (10, 20), (30, 45), (30, 45), (30, 45)]),
        ("server_error", [(2.5, 5), (5, 10), (10, 20), (30, 45), (30, 45), (30, 45)]),
        ("storage", [(2.5, 5), (5, 10), (10, 20), (30, 45), (30, 45), (30, 45)]),
        ("auth", [(15, 30), (30, 60), (60, 120), (120, 240)]),
        ("disk", [(15, 15), (15, 15)]),
    ],
)
def test_tries_in_vain_get_rarer(
    gate: Gate, clock: Clock, code: str, bounds: list[tuple[float, float]]
) -> None:
    """Backed off, an outage sees at most one request in 30 s."""
    gate.pause(fault(code))
    found = waits(gate, clock, code, len(bounds))
    assert all(low <= wait <= high for wait, (low, high) in zip(found, bounds, strict=True)), found


def test_what_was_under_way_is_no_try(gate: Gate, clock: Clock) -> None:
    """Thirty polls that fail at once are one outage, not thirty looks at it."""
    for _ in range(30):
        gate.server_failed("refused", submitting=False)
    (outage,) = gate.pauses
    assert outage.attempts == 1
    assert 2.5 <= outage.until - clock.now <= 5
    clock.now = outage.until
    gate.server_failed("refused", submitting=False)
    assert [p.attempts for p in gate.pauses] == [2]


@pytest.mark.parametrize("code", BY_TRIAL)
def test_a_song_that_was_the_try_makes_the_next_one_rarer(
    gate: Gate, clock: Clock, code: str
) -> None:
    """Its fault comes while the next try is already pushed back."""
    gate.pause(fault(code))
    for attempts in (2, 3):
        (held,) = gate.pauses
        clock.now = held.until
        gate.tried(held)
        gate.pause(fault(code))
        gate.pause(fault(code))  # another one, that was no try
        assert [p.attempts for p in gate.pauses] == [attempts]


def test_the_account_is_asked_hourly_at_last(gate: Gate, clock: Clock) -> None:
    """The backoff of a refused key ends at an hour."""
    gate.pause(fault("auth"))
    assert 1800 <= waits(gate, clock, "auth", 12)[-1] <= 3600


def test_a_retry_after_is_kept_to_and_never_shortened(gate: Gate, clock: Clock) -> None:
    """The longest one counts, up to an hour; past it the gate is open by itself."""
    gate.pause(fault("rate_limited", after=30.0))
    gate.pause(fault("rate_limited", after=1.0))
    assert gate.seconds_left("rate_limited") == 30.0
    clock.now += 29.9
    assert gate.closed(SUBMIT) is not None
    clock.now += 0.1
    assert gate.closed(SUBMIT) is None
    gate.pause(fault("rate_limited", after=1e9))
    assert gate.seconds_left("rate_limited") == 3600.0


def test_repeated_429s_back_off_although_each_pause_ends(gate: Gate, clock: Clock) -> None:
    """Only an accepted submission starts the count of 429s anew."""
    found = []
    for _ in range(6):
        gate.pause(fault("rate_limited"))
        found.append(gate.seconds_left("rate_limited"))
        clock.now += found[-1]
        gate.reopen("rate_limited")
    bounds = [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (30, 60)]
    assert all(low <= wait <= high for wait, (low, high) in zip(found, bounds, strict=True)), found
    gate.accepted(clock.now)
    gate.pause(fault("rate_limited"))
    assert gate.seconds_left("rate_limited") <= 2


def test_five_failures_in_a_row_are_an_outage(gate: Gate, clock: Clock) -> None:
    """Any answer in between starts the count anew; an answer ends the pause."""
    for _ in range(4):
        assert not gate.server_failed("no answer", submitting=False)
    gate.answered(clock.now)
    found = [gate.server_failed("no answer", submitting=False) for _ in range(6)]
    assert found == [False, False, False, False, True, False]
    gate.answered(clock.now - 1)  # of a request that was under way by then
    assert codes(gate) == ["server"]
    gate.answered(clock.now)
    assert codes(gate) == []
    for _ in range(5):
        gate.server_failed("no answer", submitting=False)
    gate.reopen("server")  # its question was answered: that is an answer as well
    assert not gate.server_failed("no answer", submitting=False)
    assert gate.pauses == []


def test_polls_that_are_answered_do_not_hide_failing_submissions(gate: Gate, clock: Clock) -> None:
    """Five refused submissions in a row pause submitting, whatever else is answered between."""
    found = []
    for _ in range(6):
        found.append(gate.server_failed("500", submitting=True))
        gate.answered(clock.now)
    assert found == [False, False, False, False, True, False]
    assert codes(gate) == ["server_error"]
    assert gate.closed(POLL) is None
    gate.accepted(clock.now)
    assert codes(gate) == []
    assert not gate.server_failed("500", submitting=True)


def test_an_outage_of_the_storage_is_its_own(gate: Gate, clock: Clock) -> None:
    """Five downloads in a row pause fetching and paying; any answer of the storage ends it."""
    found = []
    for song in range(5):
        gate.storage_failed(song % 2, "503")
        found.append(codes(gate))
    assert found == [[], [], [], [], ["storage"]]
    assert gate.closed(POLL) is None
    assert gate.storage_answered(clock.now - 1) is False  # of a download that had begun before
    assert gate.storage_answered(clock.now) is True
    assert gate.closed(SUBMIT) is None


def test_one_song_alone_is_no_outage_of_the_storage(gate: Gate, clock: Clock) -> None:
    """However often its stems fail; and a pause that others began is prolonged by it, too."""
    for _ in range(20):
        gate.storage_failed(1, "500")
    assert gate.closed(SUBMIT) is None
    gate.storage_failed(2, "500")
    assert codes(gate) == ["storage"]
    for _ in range(4):
        in_vain(gate, clock, 1)
    assert gate.pauses[0].attempts == 5


def in_vain(gate: Gate, clock: Clock, song: int) -> None:
    """One trial of the pause for the storage, which fails."""
    clock.now += gate.seconds_left("storage")
    (trial,) = gate.trial(FETCH)
    gate.tried(trial)
    gate.storage_failed(song, "500")


def test_two_songs_that_are_all_there_is_to_try_are_no_outage_for_ever(
    gate: Gate, clock: Clock
) -> None:
    """With submitting held nobody else would ever be there to end it; more songs are a sign."""
    for song in (1, 2, 1, 2, 1):
        gate.storage_failed(song, "500")
    for song in (2, 1, 2, 1, 2, 1, 2):
        in_vain(gate, clock, song)
        assert codes(gate) == ["storage"]
    in_vain(gate, clock, 1)
    assert gate.closed(SUBMIT) is None
    for song in (1, 2) * 10:
        gate.storage_failed(song, "500")
    assert codes(gate) == []
    for song in (3, 3, 4, 5, 3):
        gate.storage_failed(song, "500")
    for song in (3, 4, 5) * 5:
        in_vain(gate, clock, song)
    assert gate.closed(SUBMIT) is not None
    assert gate.storage_answered(clock.now, 1) is True


@pytest.mark.parametrize("code", BY_TRIAL)
def test_real_work_is_tried_once_the_time_is_over(gate: Gate, clock: Clock, code: str) -> None:
    """A trial is offered when its pause is due and nothing else holds that work back.

    A song only after a question that costs nothing: before that it is no try, it is a risk.
    """
    what = FETCH if code == "storage" else SUBMIT
    gate.pause(fault(code, after=10.0))
    assert gate.trial(what) == []
    clock.now += 10
    if what == SUBMIT:
        assert gate.trial(what) == []
        (due,) = gate.due()
        gate.tried(due)
        gate.clear(due)
        assert gate.due() == []
    assert [p.code for p in gate.trial(what)] == [code]
    gate.pause(fault("disk"))
    assert gate.trial(what) == []
    gate.reopen("disk")
    gate.tried(gate.trial(what)[0])
    assert gate.trial(what) == []
    clock.now += 100
    assert gate.trial(what) == [] or what == FETCH  # each try has a question of its own


def test_what_is_met_while_a_question_is_under_way_is_no_leave_to_try(
    gate: Gate, clock: Clock
) -> None:
    """The answer is older than the fault; neither does it take the fault's time away."""
    gate.pause(fault("server_error"))
    clock.now += 10
    (asked,) = gate.due()
    gate.tried(asked)
    clock.now += 1
    gate.pause(fault("server_error"))
    gate.clear(asked)
    assert gate.trial() == []
    gate.in_vain(asked)
    gate.accepted(clock.now - 0.5)
    assert codes(gate) == ["server_error"]


def test_an_accepted_submission_ends_every_doubt(gate: Gate, clock: Clock) -> None:
    """What it proves to be over is over; a full disk is not."""
    for code in ("auth", "credit", "endpoint", "rate_limited", "disk"):
        gate.pause(fault(code))
    gate.accepted(clock.now)
    assert codes(gate) == ["disk"]


@pytest.mark.parametrize(
    "code", ["auth", "credit", "endpoint", "rate_limited", "server", "server_error"]
)
def test_what_was_under_way_already_ends_no_pause(gate: Gate, clock: Clock, code: str) -> None:
    """The server had let it in before: a Retry-After of a minute is a minute for all others."""
    began = clock.now
    clock.now += 1
    gate.pause(fault(code, after=60.0))
    clock.now += 1
    gate.accepted(began)
    assert gate.closed(SUBMIT) is not None
    again = clock.now
    gate.pause(fault(code, after=60.0))  # by another one, which was told so later
    gate.accepted(again - 0.5)
    assert codes(gate) == [code]
    gate.accepted(again)
    assert codes(gate) == []


def test_an_accepted_neighbour_takes_nothing_from_the_next_wait(gate: Gate, clock: Clock) -> None:
    """The backoff of a pause that ended by a question counts until a later song is accepted."""
    began = clock.now
    for _ in range(3):
        gate.pause(fault("rate_limited"))
        clock.now += gate.seconds_left("rate_limited")
        gate.reopen("rate_limited")
        gate.accepted(began)
    gate.pause(fault("rate_limited"))
    assert gate.seconds_left("rate_limited") >= 8


def test_a_server_that_is_down_is_asked_one_question(gate: Gate, clock: Clock) -> None:
    """Its own: whatever else is to be asked about waits for that."""
    for code in ("auth", "credit", "endpoint", "server_error", "server", "journal"):
        gate.pause(fault(code, after=1.0))
    clock.now += 1
    assert [p.code for p in gate.due()] == ["server", "journal"]
    gate.reopen("server")
    assert [p.code for p in gate.due()] == ["auth", "credit", "endpoint", "server_error", "journal"]


def test_a_try_in_vain_may_be_told_when_to_ask_again(gate: Gate, clock: Clock) -> None:
    """A Retry-After on a probe counts where it is longer than the backoff."""
    gate.pause(fault("auth", after=0.0))
    (pause,) = gate.due()
    gate.in_vain(pause, after=500.0)
    assert gate.next_due() == clock.now + 500.0


def test_a_pause_of_one_inbox_leaves_the_others_alone(gate: Gate) -> None:
    """Its disks are its own; the key, the API and the journal are everybody's."""
    assert gate.pause(fault("disk"), "dj") is True
    assert gate.pause(fault("disk"), "karaoke") is True  # told for each
    assert gate.pause(fault("disk"), "dj") is False
    assert gate.reopen("disk", "karaoke") is True
    assert gate.closed(SUBMIT, "dj") is not None
    assert gate.closed(SUBMIT, "karaoke") is None
    assert gate.closed(SUBMIT) is None
    gate.pause(fault("auth"), "karaoke")
    assert [gate.closed(POLL, inbox) is not None for inbox in ("dj", "karaoke", None)] == [True] * 3
    assert gate.reopen("auth") is True
    assert sorted((p.code, p.inbox) for p in gate.pauses) == [("disk", "dj")]


def test_one_inbox_may_try_while_another_is_paused(gate: Gate, clock: Clock) -> None:
    """What only a song can end is tried with a song of whoever can."""
    gate.pause(fault("credit", after=10.0))
    gate.pause(fault("disk"), "dj")
    assert gate.lets(SUBMIT, "karaoke") is False
    clock.now += 10
    (due,) = (p for p in gate.due() if p.code == "credit")
    gate.clear(due)
    assert [p.code for p in gate.trial(SUBMIT)] == ["credit"]
    assert (gate.lets(SUBMIT, "dj"), gate.lets(SUBMIT, "karaoke")) == (False, True)


def test_each_inbox_s_pause_is_tried_by_itself(gate: Gate, clock: Clock) -> None:
    """A try for one moves nothing for the other."""
    gate.pause(fault("disk"), "dj")
    clock.now += 1
    gate.pause(fault("disk"), "karaoke")
    clock.now += 14
    (due,) = gate.due()
    assert due.inbox == "dj"
    gate.tried(due)
    gate.in_vain(due)
    clock.now += 1
    assert [p.inbox for p in gate.due()] == ["karaoke"]


def test_a_try_brings_no_pause_back(gate: Gate) -> None:
    """It had ended meanwhile: nobody would have ended it again, where no song is left to try."""
    gate.pause(fault("server_error"))
    (pause,) = gate.pauses
    gate.reopen("server_error")
    gate.tried(pause)
    assert gate.pauses == []


@pytest.mark.parametrize("ends", [True, False])
def test_three_songs_whose_tries_take_turns_unevenly_are_an_outage(
    gate: Gate, clock: Clock, ends: bool
) -> None:
    """Submitting went on after minutes, and paid for more whose stems could not be had.

    Until the third one has ended, or is tried no more, since it waits for something else.
    """
    a, b, c = 1, 2, 3
    for song in (a, b, c, a, b):
        gate.storage_failed(song, "500")
    for song in (a, b, a, c, a, b, a, b, a, b, a):
        in_vain(gate, clock, song)
    assert codes(gate) == ["storage"]
    if ends:
        gate.downloads.forget(c)
        in_vain(gate, clock, b)
    else:
        for song in (b, a) * 4:
            in_vain(gate, clock, song)
            assert codes(gate) == ["storage"]
        in_vain(gate, clock, b)
    assert codes(gate) == [], "two are no sign"
