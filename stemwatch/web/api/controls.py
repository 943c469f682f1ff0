"""What a person decides on the page: songs go back to work, next, or to the archive; a pause."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from stemwatch.codes import Code
from stemwatch.errors import StemwatchError
from stemwatch.job import Job, JobState, may_be_paid
from stemwatch.journal.every import every
from stemwatch.log import redacted
from stemwatch.outbox.sidecar import rfc3339
from stemwatch.web.api.api_faults import FRESH, Fault
from stemwatch.web.api.login import body_of
from stemwatch.web.backing import Backing, Document
from stemwatch.workers.pool.choosing.passing import held

CHARGED = "may_be_charged"  # again, by a retry


class Controls:
    """Each answers with the job as it is then."""

    def __init__(self, backing: Backing) -> None:
        self._backing = backing
        self._journal = backing.health.context.journal

    async def retry(self, request: Request) -> Response:
        """202; 409 `may_be_charged` for what may be charged again, unless `{"yes": true}`."""
        sure = (await body_of(request)).get("yes") is True
        job = await self._in_quarantine(request)
        if job.code == Code.SUBMISSION_UNCONFIRMED and not sure:
            words = "It may have been charged already, and could be charged again."
            hint = 'Look in your StemSplit dashboard first; then send {"yes": true}.'
            raise Fault(409, CHARGED, words, hint)
        return JSONResponse(await self._retried(job), status_code=202, headers=FRESH)

    async def discard(self, request: Request) -> Response:
        """202; 409 `paid` for one whose stems may be paid for, unless `{"yes": true}`."""
        sure = (await body_of(request)).get("yes") is True
        job = await self._in_quarantine(request)
        if may_be_paid(job) and not sure:
            words = "Its stems may be paid for, and are given up with it."
            raise Fault(409, "paid", words, 'A retry may fetch them. Else send {"yes": true}.')
        return await self._discarded(job)

    async def cancel(self, request: Request) -> Response:
        """202 for a song that is not submitted yet; 409 once it may be charged."""
        job = await self._journal.get(request.path_params["id"])
        if job is None or job.state in (JobState.DONE, JobState.GONE, JobState.QUARANTINED):
            raise Fault(404, "no_job", "There is no such song on its way.")
        return await self._discarded(job)

    async def first(self, request: Request) -> Response:
        """202 for a song that waits, which is submitted next; 404 for all others."""
        job = await self._journal.get(request.path_params["id"])
        waits = job is not None and job.state is JobState.QUEUED and job.owner is None
        if job is None or not waits or not await self._backing.first(job):
            raise Fault(404, "no_job", "There is no such song that waits to be submitted.")
        pause = None if job.at_hand else held(self._backing.health.context, job.inbox, job)
        after = "" if pause is None else f" once the pause `{pause.code}` is over"
        words = f"{redacted(job.name)} goes next{after}"
        told = {"id": job.id, "state": str(job.state), "words": words}
        return JSONResponse(told, status_code=202, headers=FRESH)

    async def pause(self, request: Request) -> Response:
        """202 `{words, until}`; `{"until": "2h"}`, or a local time such as "22:00", ends it."""
        until = (await body_of(request)).get("until")
        if until is not None and not isinstance(until, str):
            raise Fault(400, Code.BAD_REQUEST, '`until` must be text such as "2h" or "22:00".')
        try:
            order = await self._backing.pause(until)
        except ValueError as fault:
            raise Fault(400, Code.BAD_REQUEST, redacted(f"`until`: {fault}.")) from None
        end = None if order.until is None else rfc3339(order.until)
        told = {"words": order.words(order.since), "until": end}
        return JSONResponse(told, status_code=202, headers=FRESH)

    async def resume(self, _: Request) -> Response:
        """202 `{words, until: null}`, also where there was no pause."""
        await self._backing.resume()
        told = {"words": "songs are submitted again", "until": None}
        return JSONResponse(told, status_code=202, headers=FRESH)

    async def _in_quarantine(self, request: Request) -> Job:
        """The job of the URL. Raises Fault 404."""
        job = await self._journal.get(request.path_params["id"])
        if job is None or job.state is not JobState.QUARANTINED:
            raise Fault(404, Code.NOT_IN_QUARANTINE, "There is no such song in quarantine.")
        return job

    async def _discarded(self, job: Job) -> Response:
        moved, words = await self._backing.discard(job)
        told = {"id": moved.id, "state": str(moved.state), "words": words}
        return JSONResponse(told, status_code=202, headers=FRESH)

    async def retry_all(self, _: Request) -> Response:
        """202 `{retried, left}`: all but what may be charged again, or can't go on."""
        retried, left = [], []
        async for job in every(self._journal, (JobState.QUARANTINED,)):
            if job.code == Code.SUBMISSION_UNCONFIRMED:
                left.append(_left(job, CHARGED, "It may be charged again.", job.hint or ""))
                continue
            try:
                retried.append(await self._retried(job))
            except StemwatchError as fault:
                left.append(_left(job, fault.code, fault.message, fault.hint))
        return JSONResponse({"retried": retried, "left": left}, status_code=202, headers=FRESH)

    async def _retried(self, job: Job) -> Document:
        moved, words = await self._backing.retry(job)
        return {"id": moved.id, "state": str(moved.state), "words": words}


def _left(job: Job, code: str, words: str, hint: str) -> Document:
    return {"id": job.id, "code": code, "error": words, "hint": hint}
