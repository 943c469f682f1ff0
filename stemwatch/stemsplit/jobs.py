"""Wire A's JSON about a job, checked field by field: whatever comes in, what goes out is safe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stemwatch.errors import Reject
from stemwatch.job import STEMS
from stemwatch.stemsplit.answers import Answer, bad_answer
from stemwatch.stemsplit.client import RemoteJob, RemoteStatus
from stemwatch.stemsplit.words import printable

ID_LIMIT = 200
KEY_LIMIT = 64
_ENDED = {"completed": RemoteStatus.COMPLETED, "failed": RemoteStatus.FAILED}


def usable_id(value: Any) -> str | None:
    """A job id that is printable, at most 200 characters, and can't leave its place in a path."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.isprintable() or len(value) > ID_LIMIT:
        return None
    return None if value.strip() in {"", ".", ".."} else value


def parse_job(answer: Answer, remote_id: str, *, stems: int) -> RemoteJob:
    """A 200 to `GET /jobs/{remote_id}`; raises RetryLater (`bad_answer`) or Reject.

    Extra keys are ignored, and so are stems that were not asked for: names are only ever looked up,
    never taken from the answer, so a hostile one can't become a file. A known one that is missing
    is a Reject: asking again would not bring it.
    """
    data = answer.json()
    if data is None:
        raise bad_answer(answer, "not JSON")
    word = data.get("status")
    if not isinstance(word, str):
        raise bad_answer(answer, "without a status")
    named = data.get("job_id", data.get("id"))
    if named is not None and usable_id(named) != remote_id:
        # a mixed-up cache would have us deliver somebody else's song
        raise bad_answer(answer, "about another job")
    status = _ENDED.get(word.strip().lower(), RemoteStatus.RUNNING)
    done = status is RemoteStatus.COMPLETED
    return RemoteJob(
        id=remote_id,
        status=status,
        stems=_stems(answer, data.get("stems"), stems) if done else {},
        bpm=_positive(data.get("bpm")),
        key=_text(answer, data.get("key")),
        duration=_positive(data.get("duration_seconds")),
        error=_error(answer, data.get("error")) if status is RemoteStatus.FAILED else None,
        progress=_progress(data.get("progress")),
        engine=_text(answer, data.get("engine")),
    )


def _stems(answer: Answer, given: Any, count: int) -> Mapping[str, str]:
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
            code="missing_stem",
            hint="The job is paid for: look for it in your StemSplit dashboard; "
            "`stemwatch retry` asks for its stems again.",
            http_status=answer.status,
            request_id=answer.request_id,
        )
    return found


def _positive(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _progress(value: Any) -> float | None:
    """Between 0 and 1; some servers count to 100."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    number = _positive(value)
    if number is None:
        return None
    return min(number / 100 if number > 1 else number, 1.0)


def _text(answer: Answer, value: Any) -> str | None:
    """A word or two for the sidecar; never our own key, which some servers repeat."""
    if not isinstance(value, str) or (answer.secret and answer.secret in value):
        return None
    text = value.strip()
    return text if text and len(text) <= KEY_LIMIT and text.isprintable() else None


def _error(answer: Answer, value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("message") or value.get("code")
    text = printable(value, answer.secret) if isinstance(value, str) else ""
    return text or "no reason given"
