"""Wire A's JSON about a job, checked field by field: whatever comes in, what goes out is safe."""

from __future__ import annotations

from stemwatch.heard import Heard
from stemwatch.stemsplit.answers import Answer, bad_answer, usable_id
from stemwatch.stemsplit.fields import error, positive, progress, stem_urls, text
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus

_ENDED = {"completed": RemoteStatus.COMPLETED, "failed": RemoteStatus.FAILED}


def parse_job(answer: Answer, remote_id: str, *, stems: int) -> RemoteJob:
    """Parse a 200 to `GET /jobs/{remote_id}`; raises RetryLater (`bad_answer`) or Reject.

    `stems` is the number ordered. Extra keys are ignored, and so are stems that were not asked for.
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
        stems=stem_urls(answer, data.get("stems"), stems) if done else {},
        bpm=positive(data.get("bpm")),
        key=text(answer, data.get("key")),
        heard=Heard.of({**data, "tempo_confidence": data.get("bpm_confidence")}),
        duration=positive(data.get("duration_seconds")),
        error=error(answer, data.get("error")) if status is RemoteStatus.FAILED else None,
        progress=progress(data.get("progress")),
        engine=text(answer, data.get("engine")),
        model=text(answer, data.get("model")),
        model_sha256=text(answer, data.get("model_sha256")),
        device=text(answer, data.get("device")),
    )
