"""Wire B's JSON, checked field by field: whatever comes in, what goes out is safe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from stemwatch.codes import Code
from stemwatch.errors import Reject, RetryLater, Unconfirmed
from stemwatch.heard import Heard
from stemwatch.stemsplit import statuses
from stemwatch.stemsplit.answers import Answer, bad_answer, usable_id
from stemwatch.stemsplit.fields import error, job_of, positive, progress, stem_urls, text
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus
from stemwatch.stemsplit.kept_uploads import Kept
from stemwatch.stemsplit.rate_headers import unix_seconds

_ENDED = {"completed": RemoteStatus.COMPLETED, "failed": RemoteStatus.FAILED}
_UPLOAD_NOT_FOUND = "UPLOAD_NOT_FOUND"
_REFUSED = frozenset({400, 404, 410, 422})  # what an API may answer for it
# In `audioMetadata`, of our own server only.
_HEARD = {
    "tuningCents": "tuning_cents",
    "bpmConfidence": "tempo_confidence",
    "keyConfidence": "key_confidence",
    "firstBeatSeconds": "first_beat_seconds",
}
# Seconds by which the server's clock and ours may differ when the ages of jobs are compared.
_CLOCKS = 900.0


def lost_upload(answer: Answer, kept: Kept) -> RetryLater | Unconfirmed | None:
    """The fault of a refusal that is about the upload, not about the song; None if it is not.

    The song is uploaded anew, which costs nothing. After a `late` upload a refusal without a name
    that we know means the same. Unconfirmed where the upload may have been used up by a job that
    was taken: the list of jobs is asked first.
    """
    named = answer.field("code")
    if answer.status not in _REFUSED or (isinstance(named, str) and named in statuses.NAMED):
        return None
    if named != _UPLOAD_NOT_FOUND and not kept.late:
        return None
    told = f"The API does not know the upload any more: {answer.where}{answer.said()}."
    if kept.in_doubt:
        return Unconfirmed(told, http_status=answer.status, request_id=answer.request_id)
    return RetryLater(
        told,
        code=Code.UPLOAD_LOST,
        hint="The song is uploaded again; nothing was charged.",
        http_status=answer.status,
        request_id=answer.request_id,
    )


def parse_detail(answer: Answer, remote_id: str, *, stems: int) -> RemoteJob:
    """Parse a 200 to `GET /jobs/{remote_id}`; raises RetryLater (`bad_answer`) or Reject.

    `stems` is the number ordered. A job whose results are deleted (`EXPIRED`) is a Reject: asking
    again would never end.
    """
    data, word = job_of(answer, remote_id, "id")
    if word == "expired":
        raise Reject(
            "The job is expired: its stems are deleted at the server.",
            code=Code.JOB_LOST,
            hint="`stemwatch retry` submits it again (and it is charged again).",
            http_status=answer.status,
            request_id=answer.request_id,
        )
    status = _ENDED.get(word, RemoteStatus.RUNNING)
    done = status is RemoteStatus.COMPLETED
    heard = data.get("audioMetadata")
    heard = heard if isinstance(heard, dict) else {}
    return RemoteJob(
        status=status,
        stems=stem_urls(answer, _addresses(data.get("outputs")), stems) if done else {},
        bpm=positive(heard.get("bpm")),
        key=text(answer, heard.get("key")),
        heard=Heard.of({ours: heard.get(theirs) for theirs, ours in _HEARD.items()}),
        error=error(answer, data.get("errorMessage")) if status is RemoteStatus.FAILED else None,
        progress=progress(data.get("progress"), whole=100.0),
        engine=text(answer, data.get("engine")),
        model=text(answer, data.get("model")),
        model_sha256=text(answer, data.get("modelSha256")),
        device=text(answer, data.get("device")),
        credits=seconds(data.get("creditsCharged")),
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of `GET /jobs`: (id, file name) and Unix time of each job, and is it the last.

    A job without an id or a file name, as another program may have made it, is in `times` only;
    `unnamed` is the latest time of such a job.
    """

    names: list[tuple[str, str]]
    times: list[float]
    last: bool
    unnamed: float = -math.inf

    def may_hide(self, since: float) -> bool:
        """Whether a job without a name may be one that was submitted at `since`."""
        return self.unnamed >= since - _CLOCKS

    def all_before(self, since: float) -> bool:
        """Whether all jobs on later pages are older than `since`; only a sorted list can tell."""
        in_order = self.times == sorted(self.times, reverse=True)
        return in_order and bool(self.times) and self.times[-1] < since - _CLOCKS


def parse_page(answer: Answer) -> Page:
    """Parse a 200 to `GET /jobs`; raises RetryLater if it is not a list of jobs."""
    data = answer.json() or {}
    items, pages = data.get("jobs"), data.get("pagination")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise bad_answer(answer, "not a list of jobs")
    names: list[tuple[str, str]] = []
    times: list[float] = []
    unnamed = -math.inf
    for item in items:
        given = item.get("input")
        name = given.get("fileName") if isinstance(given, dict) else None
        remote_id = usable_id(item.get("id"))
        times.append(unix_seconds(item.get("createdAt")) or math.inf)
        if remote_id is None or not isinstance(name, str):
            unnamed = max(unnamed, times[-1])
        else:
            names.append((remote_id, name))
    more = pages.get("hasMore") if isinstance(pages, dict) else None
    return Page(names, times, last=not items or more is False, unnamed=unnamed)


def webhooks_at(answer: Answer, url: str) -> list[str]:
    """Ids of the webhooks at `url`, in the answer to `GET /webhooks`."""
    items = (answer.json() or {}).get("webhooks")
    found = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    ids = [usable_id(i.get("id")) for i in found if i.get("url") == url]
    return [hook_id for hook_id in ids if hook_id is not None]


def seconds(value: Any) -> float | None:
    """A finite number that is not negative; None for anything else."""
    return 0.0 if value == 0 and not isinstance(value, bool) else positive(value)


def _addresses(outputs: Any) -> Any:
    """{stem: {url, ...}} as {stem: url}."""
    if not isinstance(outputs, dict):
        return outputs
    return {
        name: place.get("url") if isinstance(place, dict) else place
        for name, place in outputs.items()
    }
