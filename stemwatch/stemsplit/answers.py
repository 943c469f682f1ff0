"""Maps HTTP answers to faults that say what to do next, for POST, GET, PUT and download.

Pure. The server's own words are kept, because they are often the best explanation there is, but
only after they were made safe to show and stripped of secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from stemwatch.errors import PauseService, Reject, RetryLater, StemwatchError, Unconfirmed
from stemwatch.stemsplit.interface import Submitted
from stemwatch.stemsplit.rate_headers import printable, retry_after

_ENDPOINT_HINT = "Check api.base_url in the configuration (`stemwatch check`)."
_REJECTED = {
    400: ("bad_request", "The API refused the file"),
    413: ("too_large", "The file is too large for the API"),
    415: ("unsupported", "The API can't read this kind of file"),
    422: ("unprocessable", "The API can't process this file"),
}
# Wire B's error codes, which say more than the status.
_NAMED = {
    "FILE_TOO_LARGE": "too_large",
    "AUDIO_TOO_LONG": "too_long",
    "AUDIO_TOO_SHORT": "too_short",
    "UNSUPPORTED_FORMAT": "unsupported",
}
# Statuses of a gateway that passed the request on and got no usable answer from the origin.
# The origin may have taken the song all the same. 520, 522 and 524 are Cloudflare's.
_NO_ANSWER = frozenset({502, 504, 520, 522, 524})
_ID_LIMIT = 200
_EXPIRED_URL = frozenset({400, 401, 403, 404, 410})  # storage services differ in their status


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `headers` have lower-case names, `body` is at most 1 MiB.

    `where` names the call for messages (method and path, no query). `secret` is the key, which no
    message may repeat.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    where: str
    now: float  # Unix seconds, for a Retry-After that is a date
    secret: str | None = None

    @property
    def request_id(self) -> str | None:
        found = printable(self.headers.get("x-request-id", ""), self.secret)
        return found or None

    @property
    def after(self) -> float | None:
        return retry_after(self.headers.get("retry-after"), self.now)

    def json(self) -> Mapping[str, Any] | None:
        """The body as a JSON object; None for anything else, half a JSON and HTML included."""
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            return None  # we asked for none: never unpack what may be a bomb
        try:
            data = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return data if isinstance(data, dict) else None

    def said(self) -> str:
        """` (503: "words of the server")`, or the standard phrase where it has none."""
        data = self.json() or {}
        fault = data.get("error")
        words = fault.get("message") or fault.get("code") if isinstance(fault, dict) else fault
        words = words or data.get("message") or data.get("detail")
        if isinstance(words, str) and (text := printable(words, self.secret)):
            return f' ({self.status}: "{text}")'
        try:
            return f" ({self.status} {HTTPStatus(self.status).phrase})"
        except ValueError:
            return f" ({self.status})"

    def field(self, *names: str) -> Any:
        """The value of the first of these keys inside `error`, else beside it; None if none is."""
        data = self.json() or {}
        inner = data.get("error")
        for place in (inner if isinstance(inner, dict) else {}, data):
            for name in names:
                if place.get(name) is not None:
                    return place[name]
        return None


def usable_id(value: Any) -> str | None:
    """`value` as an id that can't leave its place in a path (printable, up to 200 characters).

    None where it is no such id.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.isprintable() or len(value) > _ID_LIMIT:
        return None
    return None if value.strip() in {"", ".", ".."} else value


def accepted(answer: Answer, *, body_sent: bool) -> Submitted:
    """The job that a submission's answer names; raises the fault that any other answer means."""
    data = answer.json() or {} if 200 <= answer.status < 300 else {}
    named = usable_id(data.get("job_id", data.get("id")))
    # A server that repeats the key there would put it into the journal and the sidecar.
    if named is None or not body_sent or (answer.secret and answer.secret in named):
        raise post_fault(answer, body_sent=body_sent)
    return Submitted(named, answer.request_id)


def post_fault(answer: Answer, *, body_sent: bool) -> StemwatchError:
    """What a submission's answer, other than a usable 2xx, means.

    `body_sent`: the closing boundary went out, so an answer that leaves open whether the job was
    taken may have cost money.
    """
    status = answer.status
    if (shared := _shared(answer)) is not None:
        return shared
    if status in _REJECTED:
        code, words = _REJECTED[status]
        said = answer.field("code")
        return _reject(answer, _NAMED.get(said, code) if isinstance(said, str) else code, words)
    # 301, 307, 308 say "not here", so nothing was taken; following would carry the key elsewhere.
    # 302 and 303 may say "done, look there": harmless only while the body had no end.
    if status in {301, 307, 308, 404, 405} or (300 <= status < 400 and not body_sent):
        return _endpoint(answer)
    if status in _NO_ANSWER and body_sent:
        return _unconfirmed(answer, "only by a gateway, which got no answer itself")
    if status in {408, 409, 425} or status >= 500:
        down = status >= 500 or status == 408
        return _retry(answer, "server_error" if down else "busy", server_down=down)
    if 400 <= status < 500:
        return _reject(answer, "refused", "The API refused the file")
    return _unconfirmed(answer, "the answer names no job")


def get_fault(answer: Answer) -> StemwatchError:
    """What an answer to `GET /jobs/{id}`, other than a readable 200, means."""
    status = answer.status
    if (shared := _shared(answer)) is not None:
        return shared
    if status in {404, 410}:
        return _retry(
            answer,
            "job_missing",
            words="The API does not know this job",
            hint="If it stays unknown, look for it in your StemSplit dashboard.",
        )
    if 300 <= status < 400:
        return _retry(answer, "redirected", server_down=True, hint=_ENDPOINT_HINT)
    if status >= 500 or status == 408:
        return _retry(answer, "server_error", server_down=True)
    return bad_answer(answer, "not a job's status")


def download_fault(answer: Answer) -> StemwatchError:
    """What a storage host's answer, other than a 200, means. A 401 there is not about our key."""
    status = answer.status
    if status in _EXPIRED_URL:
        return _retry(answer, "url_expired", words="The stem's address has expired")
    if status == 429:
        return _retry(answer, "rate_limited", counts=False)
    if status >= 500 or status == 408:
        return _retry(answer, "server_error", server_down=True)
    return bad_answer(answer, "not a stem")


def put_fault(answer: Answer) -> StemwatchError:
    """What a storage host's answer to an upload, other than a 2xx, means: nothing was submitted."""
    if answer.status == 413:
        return _reject(answer, "too_large", "The file is too large for the API")
    if answer.status == 429:
        return _retry(answer, "rate_limited", counts=False)
    words = "The storage did not take the upload"
    return _retry(answer, "server_error", words=words, server_down=True)


def bad_answer(answer: Answer, what: str) -> RetryLater:
    """A 2xx (or an odd status) whose content can't be used."""
    return _retry(answer, "bad_answer", words=f"The answer is {what}")


def _shared(answer: Answer) -> StemwatchError | None:
    """Statuses that mean the same on every call to the API."""
    match answer.status:
        case 401 | 403:
            return _pause(
                answer,
                "auth",
                "The API does not accept the key",
                "Check the API key (api.key_file, $STEMSPLIT_API_KEY); "
                "nothing was lost, work resumes once it is accepted.",
            )
        case 402:
            return _no_credit(answer)
        case 407 | 511:
            return _retry(answer, "server_error", server_down=True)
        case 429:
            return _retry(answer, "rate_limited", counts=False)
    return None


def _no_credit(answer: Answer) -> PauseService:
    seconds = answer.field("requiredSeconds", "required_seconds")
    needs = ""
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 1e9:
        needs = f"; it needs {seconds:g} s of credit"
    link = answer.field("purchaseUrl", "purchase_url")
    shop = "in your StemSplit dashboard"
    if isinstance(link, str) and re.fullmatch(r"https://[!-~]{1,190}", link):
        # Without its query: `printable` would cut it out like a signature and break the link.
        shop = f"at {printable(link.partition('?')[0], answer.secret)}"
    return _pause(answer, "credit", "No credit left" + needs, f"Buy credit {shop}.")


def _endpoint(answer: Answer) -> PauseService:
    words = "The API has no such endpoint"
    if 300 <= answer.status < 400:
        words = "The API's address redirects elsewhere, which is not followed with a key"
    return _pause(answer, "endpoint", words, _ENDPOINT_HINT)


def _pause(answer: Answer, code: str, words: str, hint: str) -> PauseService:
    return PauseService(
        f"{words}: {answer.where}{answer.said()}.",
        code=code,
        hint=hint,
        after=answer.after,
        http_status=answer.status,
        request_id=answer.request_id,
    )


def _unconfirmed(answer: Answer, what: str) -> Unconfirmed:
    return Unconfirmed(
        f"{answer.where} was answered, but {what}{answer.said()}.",
        http_status=answer.status,
        request_id=answer.request_id,
    )


def _reject(answer: Answer, code: str, words: str) -> Reject:
    return Reject(
        f"{words}: {answer.where}{answer.said()}.",
        code=code,
        hint="Mend or convert the file, then `stemwatch retry`.",
        http_status=answer.status,
        request_id=answer.request_id,
    )


def _retry(
    answer: Answer,
    code: str,
    *,
    words: str = "The server could not answer",
    hint: str = "",
    counts: bool = True,
    server_down: bool = False,
) -> RetryLater:
    if code == "rate_limited":
        words = "Too many requests or jobs at once"
    return RetryLater(
        f"{words}: {answer.where}{answer.said()}.",
        code=code,
        hint=hint,
        after=answer.after,
        counts=counts,
        server_down=server_down,
        http_status=answer.status,
        request_id=answer.request_id,
    )
