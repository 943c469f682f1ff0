"""Wire B's JSON: what is taken from a job and from a list of them, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemwatch.errors import Reject, RetryLater
from stemwatch.heard import Heard
from stemwatch.job import STEMS
from stemwatch.stemsplit.answers import Answer
from stemwatch.stemsplit.answers_presigned import (
    Page,
    parse_detail,
    parse_page,
    seconds,
    webhooks_at,
)
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus

T = TypeVar("T")
KEY = "sk-secret-0123456789"
DONE: dict[str, Any] = {
    "id": "j1",
    "status": "COMPLETED",
    "progress": 100,
    "input": {"fileName": "a [sw-1].mp3", "durationSeconds": 218.5},
    "outputs": {
        "vocals": {"url": "https://s.test/v", "expiresAt": "2027-01-15T08:00:00Z"},
        "instrumental": {"url": "https://s.test/i", "expiresAt": "2027-01-15T08:00:00Z"},
    },
    "audioMetadata": {"bpm": 124, "key": "C#m"},
    "creditsCharged": 219,
    "errorMessage": None,
}


def answer(data: Any, **headers: str) -> Answer:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Answer(200, headers, raw, "GET /jobs/j1", 0.0, secret=KEY)


def parse(data: Any, stems: int = 2) -> RemoteJob:
    return parse_detail(answer(data), "j1", stems=stems)


def test_the_documented_answer() -> None:
    """Field by field."""
    assert parse(DONE) == RemoteJob(
        status=RemoteStatus.COMPLETED,
        stems={"vocals": "https://s.test/v", "instrumental": "https://s.test/i"},
        bpm=124.0,
        key="C#m",
        progress=1.0,
        credits=219.0,
    )


def test_what_only_our_own_server_hears() -> None:
    """It is taken where it is told; what is odd is left out."""
    told = {"tuningCents": 7, "bpmConfidence": 0.7, "keyConfidence": "sure", "firstBeatSeconds": 1}
    heard = {**DONE["audioMetadata"], **told}
    assert parse({**DONE, "audioMetadata": heard}).heard == Heard(7.0, 0.7, None, 1.0)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("COMPLETED", RemoteStatus.COMPLETED),
        ("completed", RemoteStatus.COMPLETED),
        (" Completed ", RemoteStatus.COMPLETED),
        ("FAILED", RemoteStatus.FAILED),
        ("failed", RemoteStatus.FAILED),
        ("PENDING", RemoteStatus.RUNNING),
        ("processing", RemoteStatus.RUNNING),
        ("WARMING_UP", RemoteStatus.RUNNING),
        ("💥", RemoteStatus.RUNNING),
        ("", RemoteStatus.RUNNING),
    ],
)
def test_statuses_in_either_case(word: str, status: RemoteStatus) -> None:
    """Unknown words are running; addresses are there once it is completed, and only then."""
    job = parse({**DONE, "status": word})
    assert job.status is status
    assert bool(job.stems) == (status is RemoteStatus.COMPLETED)


@pytest.mark.parametrize("word", ["EXPIRED", "expired", " Expired "])
def test_an_expired_job_is_asked_for_no_more(word: str) -> None:
    """Its stems are deleted: to poll on would never end."""
    with pytest.raises(Reject) as caught:
        parse({**DONE, "status": word})
    assert caught.value.code == "job_lost"
    assert "charged again" in caught.value.hint


@pytest.mark.parametrize(
    ("given_error", "expected"),
    [
        ("too quiet", "too quiet"),
        ({"code": "X", "message": "too quiet"}, "too quiet"),
        (None, "no reason given"),
        (17, "no reason given"),
        (f"a\nb {KEY}", "a b [key]"),
    ],
)
def test_failed_says_why(given_error: Any, expected: str) -> None:
    job = parse({"status": "FAILED", "errorMessage": given_error})
    assert (job.status, job.error) == (RemoteStatus.FAILED, expected)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b'{"status": "COMPL',
        b"[]",
        b"\xff",
        b'{"status": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        {},
        {"status": None},
        {"status": ["COMPLETED"]},
        {"status": "COMPLETED"},
        {"status": "COMPLETED", "outputs": None},
        {"status": "COMPLETED", "outputs": []},
        {**DONE, "id": "another"},
        {**DONE, "id": ["j1"]},
    ],
)
def test_what_cant_be_used_is_asked_again(data: Any) -> None:
    """HTML, half a JSON, missing keys and somebody else's job are bad answers."""
    with pytest.raises(RetryLater) as caught:
        parse(data)
    assert caught.value.code == "bad_answer"


def test_compressed_answers_are_not_unpacked() -> None:
    with pytest.raises(RetryLater):
        parse_detail(answer(DONE, **{"content-encoding": "gzip"}), "j1", stems=2)


@pytest.mark.parametrize("place", [None, "", 5, [], {}, {"url": None}, {"url": ""}, {"url": 5}])
def test_a_missing_stem_is_refused(place: Any) -> None:
    """A completed job without one of its stems can't be delivered whole."""
    outputs = {**DONE["outputs"], "instrumental": place}
    with pytest.raises(Reject) as caught:
        parse({**DONE, "outputs": outputs})
    assert caught.value.code == "missing_stem"
    assert "instrumental" in caught.value.message


def test_an_output_may_be_its_address_alone() -> None:
    """As wire A has it; and names that were not asked for vanish, however they are written."""
    outputs = {"vocals": "https://s/v", "instrumental": "https://s/i", "../x": {"url": "https://e"}}
    assert set(parse({**DONE, "outputs": outputs}).stems) == {"vocals", "instrumental"}


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0, 0.0),
        (1, 0.01),
        (0.5, 0.005),
        (42, 0.42),
        (100, 1.0),
        (1000, 1.0),
        (-1, None),
        ("5", None),
        (True, None),
        (False, None),
        (None, None),
        (10**400, None),
    ],
)
def test_progress_is_of_a_hundred(progress: Any, expected: float | None) -> None:
    """1 is one percent here, where wire A means the whole."""
    assert parse({"status": "PROCESSING", "progress": progress}).progress == expected


@pytest.mark.parametrize("odd", [None, 0, -3, True, "124", 10**400, [], {}, "", "x" * 65, "a\nb"])
def test_odd_fields_are_left_out(odd: Any) -> None:
    """A job is not lost for its adornments."""
    heard = {"bpm": odd, "key": odd if odd != "124" else None}
    job = parse({**DONE, "audioMetadata": heard})
    assert (job.bpm, job.key) == (None, None)
    job = parse({**DONE, "audioMetadata": odd, "engine": f"made by {KEY}"})
    assert (job.bpm, job.key, job.engine) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0.0), (0.0, 0.0), (219, 219.0), (False, None), (-1, None), ("7", None), (None, None)],
)
def test_a_count_may_be_zero(value: Any, expected: float | None) -> None:
    """A free job, and a balance that is used up."""
    assert seconds(value) == expected
    assert parse({**DONE, "creditsCharged": value}).credits == expected


# -- the list -----------------------------------------------------------------------------------


def item(number: int, created: Any = "2027-01-15T08:00:00Z", **more: Any) -> dict[str, Any]:
    return {
        "id": f"j{number}",
        "input": {"fileName": f"{number} [sw-{number}].mp3"},
        "createdAt": created,
        **more,
    }


def page(*items: Any, more: Any = True) -> Page:
    return parse_page(answer({"jobs": list(items), "pagination": {"hasMore": more}}))


def test_a_page_tells_names_and_times() -> None:
    found = page(item(1), item(2, 1_800_000_000_000), item(3, None))
    assert found.names == [(f"j{n}", f"{n} [sw-{n}].mp3") for n in (1, 2, 3)]
    assert found.times == [1.8e9, 1.8e9, float("inf")]
    assert not found.last
    assert not found.may_hide(0.0)


@pytest.mark.parametrize(
    ("data", "last"),
    [
        ({"jobs": [item(1)], "pagination": {"hasMore": False}}, True),
        ({"jobs": [item(1)], "pagination": {"hasMore": "no"}}, False),
        ({"jobs": [item(1)], "pagination": {}}, False),
        ({"jobs": [item(1)]}, False),
        ({"jobs": [item(1)], "pagination": [False]}, False),
        ({"jobs": [], "pagination": {"hasMore": True}}, True),  # or it would never end
        ({"jobs": []}, True),
    ],
)
def test_only_a_clear_word_ends_the_list(data: Any, last: bool) -> None:
    """A list that was not read to its end proves nothing to be absent."""
    assert parse_page(answer(data)).last is last


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        [],
        {},
        {"jobs": None},
        {"jobs": {"0": item(1)}},
        {"jobs": [item(1), None]},
        {"jobs": [item(1), "j2"]},
    ],
)
def test_what_is_no_list_of_jobs_proves_nothing(data: Any) -> None:
    with pytest.raises(RetryLater) as caught:
        parse_page(answer(data))
    assert caught.value.code == "bad_answer"


@pytest.mark.parametrize(
    "odd",
    [{"id": None}, {"id": ".."}, {"input": None}, {"input": {}}, {"input": {"fileName": 5}}],
)
def test_a_job_without_a_name_may_be_ours_unless_it_is_older(odd: dict[str, Any]) -> None:
    """To submit again could pay twice; but one of last year must not hold a song up for good."""
    found = page(item(1, **odd), item(2), more=False)
    assert found.names == [("j2", "2 [sw-2].mp3")]
    assert found.times == [1.8e9, 1.8e9]
    assert found.may_hide(1.8e9 + 900.0)  # within what two clocks may differ
    assert not found.may_hide(1.8e9 + 901.0)
    assert page(item(1, created=None, **odd)).may_hide(1e12)
    assert not page(item(1, **odd)).last


@pytest.mark.parametrize(
    ("times", "before"),
    [
        ([5000.0, 4000.0], True),
        ([5000.0, 4100.0], False),  # within what two clocks may differ
        ([5000.0], False),
        ([4000.0, 5000.0], False),  # not in order: ours may come later
        ([4000.0, 4000.0], True),
        ([float("inf"), 4000.0], True),
        ([4000.0, float("inf")], False),
        ([float("inf")], False),
        ([], False),
    ],
)
def test_old_jobs_end_the_search_in_a_list_that_is_in_order(
    times: list[float], before: bool
) -> None:
    """Submitted at 5000."""
    assert Page([], times, last=False).all_before(5000.0) is before


@pytest.mark.parametrize("zero", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", 0, None, ""])
def test_a_time_that_is_none_ends_no_search(zero: Any) -> None:
    """Some programs write "no time" so; taken for an age, ours on the next page would be missed."""
    assert not page(item(1, zero), item(2, zero)).all_before(1.8e9)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"webhooks": [{"id": "w1", "url": "https://me"}, {"id": "w2", "url": "x"}]}, ["w1"]),
        ({"webhooks": [{"id": "..", "url": "https://me"}, None, "w", {"url": "https://me"}]}, []),
        ({"webhooks": {"id": "w1", "url": "https://me"}}, []),
        ({}, []),
        ([], []),
    ],
)
def test_our_webhooks_are_found_by_their_url(data: Any, expected: list[str]) -> None:
    assert webhooks_at(answer(data), "https://me") == expected


# -- anything at all ------------------------------------------------------------------------------

_KEYS = """
    id status progress outputs vocals instrumental url audioMetadata bpm key input durationSeconds
    tuningCents bpmConfidence firstBeatSeconds fileName creditsCharged errorMessage engine jobs
    pagination hasMore createdAt ../x
"""
_NAMES = st.sampled_from(_KEYS.split())
_WORDS = st.sampled_from(["j1", "COMPLETED", "FAILED", "EXPIRED", "https://s/v", KEY, "a\nb", ""])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)
_JOBS = st.dictionaries(_NAMES, _VALUES, max_size=6).map(lambda d: {**DONE, **d}) | _VALUES


@settings(max_examples=200)
@given(data=_JOBS, stems=st.sampled_from([2, 4, 6]))
def test_any_json_is_a_safe_job_or_a_known_fault(data: Any, stems: int) -> None:
    """Nothing else comes out, whatever comes in."""
    job, fault = _outcome(lambda: parse(data, stems))
    if job is None:
        assert str(fault).isprintable()
        assert KEY not in str(fault)
        return
    completed = job.status is RemoteStatus.COMPLETED
    assert set(job.stems) == (set(STEMS[stems]) if completed else set())
    assert all(isinstance(url, str) and url for url in job.stems.values())
    for number in (job.bpm, job.credits):
        assert number is None or 0 <= number < float("inf")
    assert job.progress is None or 0.0 <= job.progress <= 1.0
    for words in (job.key, job.engine, job.error):
        assert words is None or (words.isprintable() and KEY not in words)


@settings(max_examples=100)
@given(data=st.fixed_dictionaries({"jobs": st.lists(_JOBS, max_size=3), "pagination": _VALUES}))
def test_any_json_is_a_safe_page_or_a_bad_answer(data: Any) -> None:
    found, fault = _outcome(lambda: parse_page(answer(data)))
    if found is None:
        assert isinstance(fault, RetryLater)
        assert fault.code == "bad_answer"
        return
    assert len(found.names) <= len(found.times)
    assert all(time > 0 for time in found.times)
    assert all(remote_id.isprintable() for remote_id, _ in found.names)


def _outcome(parsing: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """Its value or its known fault; any other one fails the test."""
    try:
        return parsing(), None
    except (Reject, RetryLater) as fault:
        return None, fault
