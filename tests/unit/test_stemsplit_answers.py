"""The table of statuses, Retry-After and what is repeated of the server's words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from stemwatch.errors import PauseService, Reject, RetryLater, StemwatchError, Unconfirmed
from stemwatch.stemsplit.answers import Answer, download_fault, get_fault, list_fault, post_fault
from stemwatch.stemsplit.rate_headers import retry_after
from stemwatch.stemsplit.server_text import excerpt

NOW = 1_800_000_000.0
KEY = "sk-canary-0123456789"


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, names, raw, "POST https://api.test/v1/separate", NOW, KEY)


def kind(fault: StemwatchError) -> tuple[type[StemwatchError], str]:
    return type(fault), fault.code


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, (Reject, "bad_request")),
        (413, (Reject, "too_large")),
        (415, (Reject, "unsupported")),
        (422, (Reject, "unprocessable")),
        (418, (Reject, "refused")),
        (401, (PauseService, "auth")),
        (403, (PauseService, "auth")),
        (402, (PauseService, "credit")),
        (404, (PauseService, "endpoint")),
        (405, (PauseService, "endpoint")),
        (421, (PauseService, "endpoint")),
        (301, (PauseService, "endpoint")),
        (307, (PauseService, "endpoint")),
        (308, (PauseService, "endpoint")),
        (302, (Unconfirmed, "submission_unconfirmed")),
        (303, (Unconfirmed, "submission_unconfirmed")),
        (200, (Unconfirmed, "submission_unconfirmed")),
        (201, (Unconfirmed, "submission_unconfirmed")),
        (204, (Unconfirmed, "submission_unconfirmed")),
        (408, (RetryLater, "server_error")),
        (409, (RetryLater, "busy")),
        (425, (RetryLater, "busy")),
        (429, (RetryLater, "rate_limited")),
        (500, (RetryLater, "server_error")),
        (502, (Unconfirmed, "submission_unconfirmed")),
        (503, (RetryLater, "server_error")),
        (504, (Unconfirmed, "submission_unconfirmed")),
        (520, (Unconfirmed, "submission_unconfirmed")),
        (521, (RetryLater, "server_error")),  # Cloudflare's: the origin refused the connection
        (522, (Unconfirmed, "submission_unconfirmed")),
        (524, (Unconfirmed, "submission_unconfirmed")),
        (599, (RetryLater, "server_error")),
    ],
)
def test_a_submission_answered(status: int, expected: tuple[type[StemwatchError], str]) -> None:
    """Every status of the table on POST, after the whole body was sent."""
    assert kind(post_fault(answer(status), body_sent=True)) == expected


@pytest.mark.parametrize("status", [502, 504, 520, 522, 524])
def test_a_gateway_before_the_bodys_end_cost_nothing(status: int) -> None:
    """Without its last bytes nobody can have taken the song."""
    fault = post_fault(answer(status), body_sent=False)
    assert kind(fault) == (RetryLater, "server_error")


def test_a_redirect_before_the_bodys_end_cost_nothing() -> None:
    """A 302 is ambiguous only once the closing boundary went out."""
    assert kind(post_fault(answer(302), body_sent=False)) == (PauseService, "endpoint")


@pytest.mark.parametrize(
    ("status", "expected", "down"),
    [
        (404, (RetryLater, "job_missing"), False),
        (410, (RetryLater, "job_missing"), False),
        (429, (RetryLater, "rate_limited"), False),
        (500, (RetryLater, "server_error"), True),
        (503, (RetryLater, "server_error"), True),
        (421, (RetryLater, "server_error"), True),
        (301, (RetryLater, "redirected"), True),
        (204, (RetryLater, "bad_answer"), False),
        (400, (RetryLater, "bad_answer"), False),
    ],
)
def test_a_poll_answered(
    status: int, expected: tuple[type[StemwatchError], str], down: bool
) -> None:
    """Every status on GET is tried again: the job is paid for."""
    fault = get_fault(answer(status))
    assert kind(fault) == expected
    assert isinstance(fault, RetryLater)
    assert fault.server_down is down


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "endpoint"), (405, "endpoint"), (410, "endpoint"), (421, "server_error")],
)
def test_a_list_of_jobs_answered(status: int, code: str) -> None:
    """It is about no job, and only who needs the list waits."""
    assert kind(list_fault(answer(status))) == (RetryLater, code)


@pytest.mark.parametrize("status", [401, 403])
def test_a_poll_with_a_bad_key_pauses(status: int) -> None:
    """The key can go bad between two polls."""
    assert kind(get_fault(answer(status))) == (PauseService, "auth")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "url_expired"),
        (404, "url_expired"),
        (410, "url_expired"),
        (400, "url_expired"),
        (401, "url_expired"),
        (429, "rate_limited"),
        (500, "server_error"),
        (503, "server_error"),
        (206, "bad_answer"),
        (402, "bad_answer"),
    ],
)
def test_a_download_answered(status: int, code: str) -> None:
    """A storage host never pauses the service for a key that it never saw."""
    assert kind(download_fault(answer(status))) == (RetryLater, code)


def test_429_costs_no_attempt() -> None:
    """Being told to wait says nothing about the file."""
    for fault in (
        post_fault(answer(429, retry_after="7"), body_sent=True),
        get_fault(answer(429, retry_after="7")),
        download_fault(answer(429, retry_after="7")),
    ):
        assert isinstance(fault, RetryLater)
        assert (fault.counts, fault.after) == (False, 7.0)


def test_no_credit_says_how_much_and_where() -> None:
    """A 402 passes on the seconds that are missing and the link to buy them, both shapes."""
    extra = {"requiredSeconds": 240, "purchaseUrl": "https://stemsplit.io/buy?id=1"}
    inner = {"error": {"code": "INSUFFICIENT_CREDITS", "message": "no credit", **extra}}
    for body in (inner, {"error": "no credit", **extra}):
        fault = post_fault(answer(402, body), body_sent=True)
        assert "240 s" in fault.message
        assert "no credit" in fault.message
        assert "https://stemsplit.io/buy" in fault.hint


def test_no_credit_refuses_a_hostile_link() -> None:
    """Only a plain https link is shown."""
    fault = post_fault(answer(402, {"purchaseUrl": "javascript:alert(1)"}), body_sent=True)
    assert "javascript" not in str(fault)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "file is silent"}, "file is silent"),
        ({"error": {"code": "X", "message": "file is silent"}}, "file is silent"),
        ({"error": {"code": "FILE_TOO_LARGE"}}, "FILE_TOO_LARGE"),
        ({"detail": "file is silent"}, "file is silent"),
        (b"<html>oops</html>", "Unprocessable"),
        (b'{"error": "half', "Unprocessable"),
        ([1, 2], "Unprocessable"),
        ({"error": 17}, "Unprocessable"),
        (b"[" * 100_000, "Unprocessable"),
    ],
)
def test_the_servers_words_are_kept(body: Any, words: str) -> None:
    """Both shapes of errors are read; anything else falls back to the standard phrase."""
    fault = post_fault(answer(422, body), body_sent=True)
    assert words in fault.message


def test_request_id_and_status_are_kept() -> None:
    """What the provider's support asks for."""
    fault = post_fault(answer(422, {}, x_request_id="req_1"), body_sent=True)
    assert isinstance(fault, Reject)
    assert (fault.http_status, fault.request_id) == (422, "req_1")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("1.5", 1.5),
        ("999999999999", 3600.0),
        (format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True), 90.0),
        (format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True), 0.0),
        (format_datetime(datetime.fromtimestamp(NOW + 9e5, UTC), usegmt=True), 3600.0),
        ("Fri, 15 Jan 2027 08:01:30 -0000", 90.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("1e9", None),
        ("٣", None),
        ("Fri, 99 Jan 2027 08:01:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    """Seconds or an HTTP-date, clamped to an hour; nonsense is None."""
    assert retry_after(value, NOW) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n\tb\x1b[31m c", "a b [31m c"),
        ("left\u202eright", "left right"),
        (f"key {KEY} is wrong", "key [key] is wrong"),
        ("see https://s.test/a.wav?sig=secret now", "see https://s.test/a.wav?… now"),
        ("x" * 500, "x" * 199 + "…"),
    ],
)
def test_an_excerpt(text: str, expected: str) -> None:
    """One safe line: no control or bidi characters, no key, no signature, not long."""
    assert excerpt(text, KEY) == expected
