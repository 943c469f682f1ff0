"""Wire A's JSON about a job, checked field by field: whatever comes in, what goes out is safe."""

from __future__ import annotations

from stemwatch.heard import Heard
from stemwatch.stemsplit.answers import Answer
from stemwatch.stemsplit.fields import error, job_of, positive, progress, stem_urls, text
from stemwatch.stemsplit.interface import RemoteJob, RemoteStatus

_ENDED = {"completed": RemoteStatus.COMPLETED, "failed": RemoteStatus.FAILED}


def parse_job(answer: Answer, remote_id: str, *, stems: int) -> RemoteJob:
    """Parse a 200 to `GET /jobs/{remote_id}`; raises RetryLater (`bad_answer`) or Reject.

    `stems` is the number ordered. Extra keys are ignored, and so are stems that were not asked for.
    """
    data, word = job_of(answer, remote_id, "job_id", "id")
    status = _ENDED.get(word, RemoteStatus.RUNNING)
    done = status is RemoteStatus.COMPLETED
    return RemoteJob(
        status=status,
        stems=stem_urls(answer, data.get("stems"), stems) if done else {},
        bpm=positive(data.get("bpm")),
        key=text(answer, data.get("key")),
        heard=Heard.of({**data, "tempo_confidence": data.get("bpm_confidence")}),
        error=error(answer, data.get("error")) if status is RemoteStatus.FAILED else None,
        progress=progress(data.get("progress")),
        engine=text(answer, data.get("engine")),
        model=text(answer, data.get("model")),
        model_sha256=text(answer, data.get("model_sha256")),
        device=text(answer, data.get("device")),
    )
