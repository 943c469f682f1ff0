"""Signatures, ages and meanings of callbacks, written as the services write them."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemwatch.errors import StemwatchError
from stemwatch.stemsplit.answers import Answer
from stemwatch.stemsplit.calls import Calls
from stemwatch.stemsplit.interface import SeparationApi, WebhookEvent
from stemwatch.stemsplit.signatures import (
    BODY,
    TIMESTAMPED,
    TOLERANCE,
    Forged,
    Signature,
    Stale,
    event,
    registered,
    verified,
)
from stemwatch.stemsplit.wires import open_api

NOW = 1_800_000_000
SECRET = "whsec_0123456789"  # noqa: S105 - the tests' own
RAW = b'{"job_id": "j1", "status": "completed"}'
A, B = Signature("x-a", TIMESTAMPED), Signature("x-b", BODY)


def mac(payload: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def stamped(t: int = NOW, body: bytes = RAW, secret: str = SECRET) -> str:
    """The `v1` of a Stripe style header."""
    return mac(f"{t}.".encode() + body, secret)


def check(
    header: str | None,
    signature: Signature = A,
    body: bytes = RAW,
    secrets: Collection[str] = (SECRET,),
    now: float = NOW,
) -> Mapping[str, Any]:
    headers = {} if header is None else {signature.header: header}
    return verified(signature, headers, body, secrets, now)


# -- Stripe style: t=...,v1=... -----------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        f"t={NOW},v1={stamped()}",
        f" t={NOW} , v1={stamped()} ",
        f"v1={stamped()},t={NOW}",
        f"t={NOW},v1={'0' * 64},v1={stamped()}",  # the service rotates its secret
        f"t={NOW},v0={'f' * 64},v2=x,v1={stamped()},note",
        f"t={NOW},v1={stamped().upper()}",
        f"t={NOW}," + "v1=00," * 30 + f"v1={stamped()}",  # the 32nd pair
    ],
)
def test_a_timestamped_signature_is_taken(header: str) -> None:
    """Any of several v1, in any order and case; other schemes and unknown words are ignored."""
    assert check(header)["job_id"] == "j1"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        f"v1={stamped()}",  # no time
        f"t={NOW}",
        f"t={NOW},v1=",
        f"t={NOW},v0={stamped()}",  # the right digest under another scheme's name
        f"t={NOW},v1={'0' * 64}",
        f"t={NOW},v1={stamped()[:-1]}",
        f"t={NOW},v1={stamped(NOW + 1)}",  # the time is signed
        f"t={NOW},t={NOW},v1={stamped()}",  # which one would be checked?
        f"t={NOW},t={NOW + 1},v1={stamped()}",
        f"t=-{NOW},v1={stamped()}",
        f"t={NOW}.0,v1={stamped()}",
        f"t={'9' * 13},v1={stamped()}",
        "t=١٨٠٠٠٠٠٠٠٠,v1=" + stamped(),  # digits, but not these
        f"t={NOW},v1=ʃ{stamped()[1:]}",
        f"t={NOW},v1={mac(RAW)}",  # over the body alone: the other scheme
        f"sha256={mac(RAW)}",
        f"t={NOW}," + "v1=00," * 31 + f"v1={stamped()}",  # beyond what is read
        f"t={NOW}," + "v1=00," * 100_000,
        "," * 1_000_000,
        "\ud800\udfff\x00",
    ],
)
def test_anything_else_is_forged(header: str | None) -> None:
    """Nothing is guessed: not the scheme, not the time, not which of two."""
    with pytest.raises(Forged):
        check(header)


def test_the_very_bytes_are_signed() -> None:
    """The same JSON, written differently, is another body."""
    header = f"t={NOW},v1={stamped()}"
    for body in (RAW + b"\n", RAW.replace(b" ", b""), b""):
        with pytest.raises(Forged):
            check(header, body=body)


@pytest.mark.parametrize("signature", [A, B])
def test_any_of_several_secrets_fits(signature: Signature) -> None:
    """While secrets are rotated; and no secret, or none of ours, lets nobody in."""
    header = f"t={NOW},v1={stamped()}" if signature is A else f"sha256={mac(RAW)}"
    assert check(header, signature, secrets=["old", SECRET])
    assert check(header, signature, secrets=[SECRET, "new"])
    for none in ([], ["old", "new"], [SECRET.upper()], [SECRET.removeprefix("whsec_")]):
        with pytest.raises(Forged):
            check(header, signature, secrets=none)


@pytest.mark.parametrize("way", [1, -1])
def test_a_replay_is_stale_and_so_is_the_future(way: int) -> None:
    """300 s of tolerance, either way; what is not signed by us is forged, however old."""
    for seconds, taken in ((TOLERANCE, True), (TOLERANCE + 1, False)):
        t = NOW + way * int(seconds)
        if taken:
            assert check(f"t={t},v1={stamped(t)}")
            continue
        with pytest.raises(Stale):
            check(f"t={t},v1={stamped(t)}")
        with pytest.raises(Forged):
            check(f"t={t},v1={stamped(NOW)}")


# -- over the body alone: sha256=... ---------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [f"sha256={mac(RAW)}", f" sha256={mac(RAW).upper()} ", mac(RAW)],
)
def test_a_body_signature_is_taken(header: str) -> None:
    assert check(header, B)["status"] == "completed"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        f"sha1={mac(RAW)}",
        f"sha256={mac(RAW)}0",
        f"sha256=sha256={mac(RAW)}",
        f"sha256={mac(RAW)},sha256={mac(RAW)}",
        f"t={NOW},v1={stamped()}",  # the other scheme
        f"t={NOW},v1={mac(RAW)}",
        "sha256=" + "é" * 64,
        "\ud800",
        "a" * 1_000_000,
    ],
)
def test_what_does_not_sign_the_body_is_forged(header: str | None) -> None:
    with pytest.raises(Forged):
        check(header, B)


def test_a_configured_scheme_changes_the_check_and_not_the_header() -> None:
    """The user's word goes over the wire's own; None keeps it."""
    assert A.of(BODY) == Signature("x-a", BODY)
    assert A.of(None) is A
    assert check(f"sha256={mac(RAW)}", A.of(BODY))
    assert check(f"t={NOW},v1={stamped()}", B.of(TIMESTAMPED))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_well_signed_nonsense_is_no_callback(body: bytes) -> None:
    """400, not a crash."""
    with pytest.raises(Stale):
        check(f"sha256={mac(body)}", B, body)


@given(header=st.binary(max_size=200), body=st.binary(max_size=50))
def test_no_header_breaks_the_check(header: bytes, body: bytes) -> None:
    """As an HTTP server hands them on: any byte there is."""
    for signature in (A, B):
        with pytest.raises((Forged, Stale)):
            check(header.decode("latin-1"), signature, body)


# -- what it says -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("completed", True),
        (" FAILED ", True),
        ("EXPIRED", True),
        ("job.completed", True),
        ("job.failed", True),
        ("processing", False),
        ("job.started", False),
        ("", False),
        (None, False),
        (["completed"], False),
    ],
)
def test_only_an_end_is_an_end(status: Any, ended: bool) -> None:
    assert event("j1", status) == WebhookEvent("j1", ended)


@pytest.mark.parametrize("named", [None, "", " ", "..", "a\nb", "x" * 201, True, 1.5, {}, []])
def test_a_callback_that_names_no_job_is_none(named: Any) -> None:
    with pytest.raises(Stale):
        event(named, "completed")


def api(wire: str) -> SeparationApi:
    return open_api(wire, Calls("http://127.0.0.1:9", None))


def receive(wire: str, data: Any, *, scheme: str | None = None, now: float = NOW) -> WebhookEvent:
    """A call to this wire, signed as it should be."""
    raw = json.dumps(data).encode()
    header = {"separate": "x-stemsplit-signature", "presigned": "x-webhook-signature"}[wire]
    timestamped = scheme == TIMESTAMPED or (scheme is None and wire == "separate")
    value = f"t={NOW},v1={stamped(NOW, raw)}" if timestamped else f"sha256={mac(raw)}"
    headers = {header: value}
    return api(wire).parse_webhook(headers, raw, secrets=[SECRET], scheme=scheme, now=now)


def envelope(timestamp: Any = NOW, **data: Any) -> dict[str, Any]:
    return {"event": "job.completed", "timestamp": timestamp, "data": {"jobId": "j1", **data}}


def test_each_wire_has_its_own_words() -> None:
    """A: the job's own JSON. B: an envelope, whose event stands in where data has no status."""
    assert receive("separate", {"job_id": "j1", "status": "failed"}) == WebhookEvent("j1", True)
    assert receive("separate", {"job_id": 7, "status": "queued"}) == WebhookEvent("7", False)
    assert receive("presigned", envelope(status="COMPLETED")) == WebhookEvent("j1", True)
    assert receive("presigned", envelope()) == WebhookEvent("j1", True)
    assert receive("presigned", envelope(status="PROCESSING")) == WebhookEvent("j1", False)
    assert receive("presigned", envelope(status="FAILED"), scheme=TIMESTAMPED).ended
    assert receive("separate", {"job_id": "j1", "status": "completed"}, scheme=BODY).ended
    for data in (None, [], "j1", {}):
        with pytest.raises(Stale):
            receive("presigned", {**envelope(), "data": data})


@pytest.mark.parametrize(
    "timestamp",
    [NOW, NOW * 1000, float(NOW), "2027-01-15T08:00:00Z", "2027-01-15T08:00:00.250"],
)
def test_wire_b_s_age_is_its_signed_timestamp(timestamp: Any) -> None:
    """RFC 3339, Unix seconds or milliseconds."""
    assert receive("presigned", envelope(timestamp)).ended
    with pytest.raises(Stale):
        receive("presigned", envelope(timestamp), now=NOW + 601)
    with pytest.raises(Stale):
        receive("presigned", envelope(timestamp), now=NOW - 301)


@pytest.mark.parametrize(
    "timestamp", [None, "", "now", True, -NOW, [], {}, 10**400, float("nan"), "9999-99-99"]
)
def test_wire_b_without_a_time_could_be_replayed_for_ever(timestamp: Any) -> None:
    with pytest.raises(Stale):
        receive("presigned", envelope(timestamp))


def test_a_wrong_scheme_lets_nobody_in() -> None:
    """It is configured; a call that is signed in the other way is forged."""
    raw = json.dumps(envelope()).encode()
    headers = {"x-webhook-signature": f"sha256={mac(raw)}"}
    with pytest.raises(Forged):
        api("presigned").parse_webhook(headers, raw, secrets=[SECRET], scheme=TIMESTAMPED, now=NOW)


# -- being registered ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "secret"),
    [
        ({"secret": SECRET}, SECRET),
        ({"signing_secret": SECRET}, SECRET),
        ({}, None),
        ({"secret": None}, None),
        ({"secret": "short"}, None),
        ({"secret": "x" * 501}, None),
        ({"secret": "with\nline"}, None),
        ({"secret": 12345678}, None),
    ],
)
def test_a_secret_is_kept_only_if_it_is_one(given: dict[str, Any], secret: str | None) -> None:
    """A short one could be guessed; calls signed with none are refused."""
    raw = json.dumps(given).encode()
    assert registered(Answer(201, {}, raw, "POST /webhooks", 0.0)) == secret


@pytest.mark.parametrize(("status", "raw"), [(404, b"{}"), (401, b"{}"), (500, b""), (200, b"[]")])
def test_a_refused_registration_is_a_fault(status: int, raw: bytes) -> None:
    with pytest.raises(StemwatchError):
        registered(Answer(status, {}, raw, "POST /webhooks", 0.0))
