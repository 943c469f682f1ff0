"""Verifies webhook callbacks: their signature and their age, and which job they are about. Pure.

A callback is only a hint to poll its job now. Only the job's id and its status word are read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stemwatch.codes import Code
from stemwatch.errors import StemwatchError
from stemwatch.stemsplit.answers import Answer, post_fault, usable_id
from stemwatch.stemsplit.interface import WebhookEvent

TOLERANCE = 300.0  # seconds between the signed time and our clock, either way
TIMESTAMPED, BODY = "timestamped", "body"  # what is signed: "{t}.{body}", or the body alone
_PAIRS = 32  # name=value pairs of a header that are read; nobody rotates through more secrets
_EVENTS = {"job.completed", "job.failed"}


class Forged(StemwatchError):
    """The callback has no signature, or one that none of our secrets made; answered with 401."""

    code = Code.WEBHOOK_FORGED


class Stale(StemwatchError):
    """The signature fits, but the callback is old (a replay) or about no job; answered with 400."""

    code = Code.WEBHOOK_STALE


@dataclass(frozen=True, slots=True)
class Signature:
    """The header with the signature, and the signing scheme: never guessed from a callback."""

    header: str
    scheme: str

    def of(self, scheme: str | None) -> Signature:
        """A copy with the scheme that the user chose; None keeps the wire's own."""
        return self if scheme is None else replace(self, scheme=scheme)


def verified(
    signature: Signature,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Collection[str],
    now: float,
) -> Mapping[str, Any]:
    """Return the callback's JSON object if one of `secrets` signed exactly these bytes.

    `headers` with lower-case names; `now` in Unix seconds. Raises Forged or Stale.
    """
    header = headers.get(signature.header, "")
    if signature.scheme == TIMESTAMPED:
        signed_at, given = _stripe(header)
        payload = b"%d." % signed_at + body
    else:
        signed_at, given = None, [header.strip().removeprefix("sha256=")]
        payload = body
    if not _any_matches(given, payload, secrets):
        raise Forged("The callback's signature fits none of the secrets.")
    if signed_at is not None:
        require_recent(signed_at, now)
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise Stale("The callback is not a JSON object.")
    return data


def require_recent(signed_at: float | None, now: float) -> None:
    """Raises Stale for a time that is unknown or too far from `now` (Unix seconds)."""
    if signed_at is None or abs(now - signed_at) > TOLERANCE:
        raise Stale(f"The callback is not from the last {TOLERANCE:g} s (or a clock is wrong).")


def event(remote_id: Any, status: Any) -> WebhookEvent:
    """Which job a callback is about, and whether it says that the job ended; raises Stale."""
    named = usable_id(remote_id)
    if named is None:
        raise Stale("The callback names no job.")
    word = status.strip().lower() if isinstance(status, str) else ""
    return WebhookEvent(named, ended=word in {"completed", "failed", "expired"} | _EVENTS)


def registered(answer: Answer) -> str | None:
    """The secret in the answer to `POST /webhooks`, if any; raises the fault of a refusal."""
    data = answer.json() if 200 <= answer.status < 300 else None
    if data is None:
        raise post_fault(answer, body_sent=False)
    secret = data.get("secret", data.get("signing_secret"))
    usable = isinstance(secret, str) and 8 <= len(secret) <= 500 and secret.isprintable()
    return secret if usable else None


def _stripe(header: str) -> tuple[int, list[str]]:
    """The time and every v1 of `t=<unix>,v1=<hex>[,v1=<hex>...]`; other schemes are ignored."""
    pairs = [pair.strip().partition("=")[::2] for pair in header.split(",")[:_PAIRS]]
    times = [value for name, value in pairs if name == "t"]
    if len(times) != 1 or not re.fullmatch(r"\d{1,12}", times[0], re.ASCII):
        raise Forged("The callback carries no signature of the form t=...,v1=....")
    return int(times[0]), [value for name, value in pairs if name == "v1"]


def _any_matches(given: Iterable[str], payload: bytes, secrets: Collection[str]) -> bool:
    """Compare every pair, each in constant time, so that the duration reveals nothing."""
    wanted = [hmac.new(s.encode(), payload, hashlib.sha256).hexdigest() for s in secrets]
    texts = [text.strip().lower().encode("ascii", "replace") for text in given]
    fits = [hmac.compare_digest(text, digest.encode()) for text in texts for digest in wanted]
    return any(fits)
