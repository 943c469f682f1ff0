"""Maps HTTP answers to faults that say what to do next, for POST, GET, PUT and download.

`statuses.py` has the table of statuses. Pure. The server's own words are kept, because they are
often the best explanation there is, but only after they were made safe to show and stripped of
secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from stemwatch.codes import Code
from stemwatch.errors import PauseService, Reject, RetryLater, StemwatchError, Unconfirmed
from stemwatch.stemsplit import statuses
from stemwatch.stemsplit.interface import Submitted
from stemwatch.stemsplit.rate_headers import retry_after
from stemwatch.stemsplit.server_text import excerpt

_ENDPOINT_HINT = "Check api.base_url in the configuration (`stemwatch check`)."
_ID_LIMIT = 200
_WORDS = {
    Code.AUTH: "The API does not accept the key",
    Code.BAD_REQUEST: "The API refused the file",
    Code.ENDPOINT: "The API has no such endpoint",
    Code.JOB_MISSING: "The API does not know this job",
    Code.RATE_LIMITED: "Too many requests or jobs at once",
    Code.REFUSED: "The API refused the file",
    Code.TOO_LARGE: "The file is too large for the API",
    Code.UNPROCESSABLE: "The API can't process this file",
    Code.UNSUPPORTED: "The API can't read this kind of file",
    Code.URL_EXPIRED: "The stem's address has expired",
}
_HINTS = {
    Code.AUTH: "Check the API key (api.key_file, $STEMSPLIT_API_KEY); "
    "nothing was lost, work resumes once it is accepted.",
    Code.ENDPOINT: _ENDPOINT_HINT,
    Code.JOB_MISSING: "If it stays unknown, look for it in your StemSplit dashboard.",
    Code.REDIRECTED: _ENDPOINT_HINT,
}


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
        found = excerpt(self.headers.get("x-request-id", ""), self.secret)
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
        if isinstance(words, str) and (text := excerpt(words, self.secret)):
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
    code = statuses.of_submission(answer.status, body_sent=body_sent)
    if code is Code.SUBMISSION_UNCONFIRMED:
        gateway = answer.status in statuses.NO_ANSWER
        silent = "only by a gateway, which got no answer itself"
        return _unconfirmed(answer, silent if gateway else "the answer names no job")
    return _fault(answer, code, statuses.NAMED)


def get_fault(answer: Answer) -> StemwatchError:
    """What an answer to `GET /jobs/{id}`, other than a readable 200, means."""
    code = statuses.of_question(answer.status)
    return (
        bad_answer(answer, "not a job's status")
        if code is Code.BAD_ANSWER
        else _fault(answer, code)
    )


def list_fault(answer: Answer) -> StemwatchError:
    """What an answer to `GET /jobs`, other than a 200, means: it is about no job.

    An address without a list holds up only who needs it: submissions have one that may be well.
    """
    if answer.status in {404, 405, 410}:
        return _retry(answer, Code.ENDPOINT, _WORDS[Code.ENDPOINT])
    return get_fault(answer)


def download_fault(answer: Answer) -> StemwatchError:
    """What a storage host's answer, other than a 200, means. A 401 there is not about our key."""
    code = statuses.of_stem(answer.status)
    return bad_answer(answer, "not a stem") if code is Code.BAD_ANSWER else _fault(answer, code)


def put_fault(answer: Answer) -> StemwatchError:
    """What a storage host's answer to an upload, other than a 2xx, means: nothing was submitted."""
    code = statuses.of_upload(answer.status)
    if code is Code.SERVER_ERROR:
        words = "The storage did not take the upload"
        return _retry(answer, code, words, server_down=True)
    return _fault(answer, code)


def bad_answer(answer: Answer, what: str) -> RetryLater:
    """A 2xx (or an odd status) whose content can't be used."""
    return _retry(answer, Code.BAD_ANSWER, f"The answer is {what}")


def _fault(
    answer: Answer, code: Code, named: Mapping[str, Code] = MappingProxyType({})
) -> StemwatchError:
    """The fault of this code; `named`: words of a refusal that say more than its status."""
    words = _WORDS.get(code, "The server could not answer")
    match code:
        case Code.AUTH:
            return _pause(answer, code, words, _HINTS[code])
        case Code.CREDIT:
            return _no_credit(answer)
        case Code.ENDPOINT:
            return _endpoint(answer)
        case Code.SERVER_ERROR | Code.REDIRECTED:
            return _retry(answer, code, words, server_down=True)
        case Code.RATE_LIMITED:
            return _retry(answer, code, words, counts=False)
        case Code.BUSY | Code.JOB_MISSING | Code.URL_EXPIRED:
            return _retry(answer, code, words)
    said = answer.field("code") if code is not Code.REFUSED else None
    return _reject(answer, named.get(said, code) if isinstance(said, str) else code, words)


def _no_credit(answer: Answer) -> PauseService:
    seconds = answer.field("requiredSeconds", "required_seconds")
    needs = ""
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < 1e9:
        needs = f"; it needs {seconds:g} s of credit"
    link = answer.field("purchaseUrl", "purchase_url")
    shop = "in your StemSplit dashboard"
    if isinstance(link, str) and re.fullmatch(r"https://[!-~]{1,190}", link):
        # Without its query: `excerpt` would cut it out like a signature and break the link.
        shop = f"at {excerpt(link.partition('?')[0], answer.secret)}"
    return _pause(answer, Code.CREDIT, "No credit left" + needs, f"Buy credit {shop}.")


def _endpoint(answer: Answer) -> PauseService:
    words = _WORDS[Code.ENDPOINT]
    if 300 <= answer.status < 400:
        words = "The API's address redirects elsewhere, which is not followed with a key"
    if answer.status == 421:
        words = "The server does not know itself by this name"
    return _pause(answer, Code.ENDPOINT, words, _HINTS[Code.ENDPOINT])


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


def _reject(answer: Answer, code: Code, words: str) -> Reject:
    return Reject(
        f"{words}: {answer.where}{answer.said()}.",
        code=code,
        hint="Mend or convert the file, then `stemwatch retry`.",
        http_status=answer.status,
        request_id=answer.request_id,
    )


def _retry(
    answer: Answer, code: Code, words: str, *, counts: bool = True, server_down: bool = False
) -> RetryLater:
    return RetryLater(
        f"{words}: {answer.where}{answer.said()}.",
        code=code,
        hint=_HINTS.get(code, ""),
        after=answer.after,
        counts=counts,
        server_down=server_down,
        http_status=answer.status,
        request_id=answer.request_id,
    )
