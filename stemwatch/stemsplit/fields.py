"""Checks single fields of the API's JSON, for both wires: what is returned is safe to use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.job import STEMS
from stemwatch.stemsplit.answers import Answer, bad_answer, usable_id
from stemwatch.stemsplit.server_text import excerpt

KEY_LIMIT = 64


def job_of(answer: Answer, remote_id: str, *names: str) -> tuple[Mapping[str, Any], str]:
    """What an answer says of this job, and its status in lower case; its id has one of `names`.

    Raises RetryLater (`bad_answer`).
    """
    data = answer.json()
    if data is None:
        raise bad_answer(answer, "not JSON")
    word = data.get("status")
    if not isinstance(word, str):
        raise bad_answer(answer, "without a status")
    named = next((data[name] for name in names if name in data), None)
    if named is not None and usable_id(named) != remote_id:
        # a mixed-up cache would have us deliver somebody else's song
        raise bad_answer(answer, "about another job")
    return data, word.strip().lower()


def stem_urls(answer: Answer, given: Any, count: int) -> Mapping[str, str]:
    """The addresses of the `count` stems that were asked for, out of {name: address}.

    Names are only looked up, never taken from the answer, so a hostile name can't become a file.
    Raises RetryLater for no stems at all, and Reject for a missing one, which polling won't bring.
    """
    if not isinstance(given, dict):
        raise bad_answer(answer, "completed, but without stems")
    found = {
        name: given[name]
        for name in STEMS[count]
        if isinstance(given.get(name), str) and given[name]
    }
    missing = [name for name in STEMS[count] if name not in found]
    if missing:
        raise Reject(
            f"The job is completed, but without its {', '.join(missing)}.",
            code=Code.MISSING_STEM,
            hint="The job is paid for: look for it in your StemSplit dashboard; "
            "`stemwatch retry` asks for its stems again.",
            http_status=answer.status,
            request_id=answer.request_id,
        )
    return found


def positive(value: Any) -> float | None:
    """A finite number above 0; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def progress(value: Any, *, whole: float | None = None) -> float | None:
    """The progress between 0 and 1; None for anything else.

    `whole` is the number that the server counts to; None: 1, or 100 for a value above 1.
    """
    if value == 0 and not isinstance(value, bool):
        return 0.0
    number = positive(value)
    if number is None:
        return None
    return min(number / (whole or (100.0 if number > 1 else 1.0)), 1.0)


def text(answer: Answer, value: Any) -> str | None:
    """A short text for the sidecar, else None; never our own key, which some servers repeat."""
    if not isinstance(value, str) or (answer.secret and answer.secret in value):
        return None
    text = value.strip()
    return text if text and len(text) <= KEY_LIMIT and text.isprintable() else None


def error(answer: Answer, value: Any) -> str:
    """Why a job failed, in the server's own words."""
    if isinstance(value, dict):
        value = value.get("message") or value.get("code")
    text = excerpt(value, answer.secret) if isinstance(value, str) else ""
    return text or "no reason given"
