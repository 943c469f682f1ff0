"""Tells a fault of the server that only one song, or its remote job, meets from everybody's.

While nobody is served it is an outage, and is waited for without end. A song that fails again and
again while others are served is its own trouble: it holds up nobody, and is told to a person. A 429
that one song alone meets is waited for, since it may be the account's all the same.
"""

from __future__ import annotations

from http import HTTPStatus

from stemwatch.codes import POLL, SUBMIT, Code
from stemwatch.errors import PauseService, Reject, RetryLater, StemwatchError, Unconfirmed
from stemwatch.job import Job, JobState
from stemwatch.workers.context import Context
from stemwatch.workers.steps import follow

_CALLS = {JobState.QUEUED: SUBMIT, JobState.SEPARATING: POLL, JobState.SEPARATED: POLL}
_BUSY = {Code.BUSY, Code.RATE_LIMITED}
_TRIES = 5  # overtaken tries of a call that the server fails
_REFUSALS = 3  # and of one that it refuses, as if the key were wrong, while others' are answered
_LONG = 300  # and while no others are asked for: about a day, since the song may hold the only slot
_SEVERAL = 3  # so many songs that got no clear answer since one was taken show an outage
_ASK = "Look in your dashboard, or ask the server's support. "
_PAID = _ASK + "`stemwatch retry` asks for it again and pays nothing."
_UNPAID = _ASK + "`stemwatch retry` submits it again; another format may help."
_NO_TIME = "the server has no time for this song alone"
_BROKEN_OFF = "the upload of this song alone breaks off"


def judged(ctx: Context, job: Job, fault: StemwatchError) -> StemwatchError:
    """What `fault` means for this job: itself, or a fault that concerns this job alone.

    Notes what the song met, so it is called once for each fault. A late job is reported.
    """
    if job.state is JobState.SEPARATING and not isinstance(fault, Reject):
        follow.report_if_late(ctx, job)
    if isinstance(fault, Unconfirmed) and ctx.api.lists_jobs:  # else it is given up right now
        ctx.memory.overtaken.failed(SUBMIT, Code.SERVER, job.id, ctx.clock())
        ctx.memory.overtaken.paused(_SEVERAL)
    in_doubt = job.state is JobState.SUBMITTING  # the list of jobs is asked for it
    if in_doubt and isinstance(fault, PauseService) and _is_refusal(fault, POLL):
        return _of_refusal(ctx, job, fault, POLL)
    call = _CALLS.get(job.state)
    if call is None:
        return fault
    if isinstance(fault, RetryLater) and (fault.server_down or fault.code in _BUSY):
        return _of_failure(ctx, job, fault, call)
    if isinstance(fault, PauseService) and _is_refusal(fault, call):
        return _of_refusal(ctx, job, fault, call)
    return fault


def spared(ctx: Context, job: Job, fault: BaseException) -> BaseException:
    """`fault` of a submission, or for a 429 that this song alone meets one that holds up nobody.

    The account's limit may look the same, so the song is waited for without end.
    """
    if not isinstance(fault, RetryLater) or fault.code != Code.RATE_LIMITED:
        return fault
    times = ctx.memory.overtaken.with_this(SUBMIT, Code.RATE_LIMITED, job.id)
    return fault if times < _TRIES else _alone(ctx, fault, Code.BUSY, _NO_TIME)


def not_taken(ctx: Context, job: Job) -> Reject | None:
    """What to do about a submission that got no clear answer, and is in no list of jobs.

    None: submit it again. Its earlier submissions were not taken either, or it would not be here.
    This one may be taken yet, late: whoever submits it again repeats its idempotency key.
    """
    times = ctx.memory.overtaken.by_songs(job.id)
    if times < _TRIES:
        return None
    words = f"the server gave this song no clear answer {times} times, while it took others."
    return Reject(words, code=Code.SERVER_ERROR, hint=_UNPAID, attempts=times)


def _of_failure(ctx: Context, job: Job, fault: RetryLater, call: str) -> StemwatchError:
    overtaken, now = ctx.memory.overtaken, ctx.clock()
    limit = fault.http_status == HTTPStatus.TOO_MANY_REQUESTS or fault.code == Code.RATE_LIMITED
    # Without an answer an upload may have broken off on a poor line. A server that names a time has
    # too much to do. Such a song is never given up, but each of its tries may cost an upload.
    counts = call == POLL or limit or (fault.http_status is not None and fault.after is None)
    # The account's limit must add nothing to what sends a song to quarantine.
    code = Code.RATE_LIMITED if limit and call == SUBMIT else Code.SERVER
    times = overtaken.failed(call, code, job.id, now, counts=counts)
    if times < _TRIES or code == Code.RATE_LIMITED:  # `spared` has judged that one
        return fault
    if not counts:
        words = _BROKEN_OFF if fault.http_status is None else _NO_TIME
        return _alone(ctx, fault, fault.code, words, times - _TRIES)
    if call == SUBMIT:
        words = f"the server failed for this song {times} times, while it took others"
        return _reject(job, fault, fault.code, words, times)
    if follow.is_overdue(ctx, job, overtaken.seconds(job.id, now)):
        words = "the server failed for this job for as long as it keeps results"
        return _reject(job, fault, Code.OVERDUE, words, times)
    # It is paid for: it is asked for, however long that takes.
    return _alone(ctx, fault, Code.BUSY, _NO_TIME) if limit else fault


def _is_refusal(fault: PauseService, call: str) -> bool:
    """Whether the server answered so. Too little credit for a long song is enough for others."""
    codes = {Code.AUTH, Code.CREDIT} if call == POLL else {Code.AUTH, Code.ENDPOINT}
    return fault.http_status is not None and fault.code in codes


def _of_refusal(ctx: Context, job: Job, fault: PauseService, call: str) -> StemwatchError:
    overtaken = ctx.memory.overtaken
    times = overtaken.failed(call, fault.code, job.id, ctx.clock())
    if times == 0:
        return fault
    words = "the server refuses this song alone"
    if overtaken.by_songs(job.id) >= _REFUSALS or times >= _LONG:
        return _reject(job, fault, fault.code, words, times)
    return _alone(ctx, fault, fault.code, words)


def _alone(
    ctx: Context,
    fault: RetryLater | PauseService,
    code: str,
    words: str,
    doublings: int = 0,
) -> RetryLater:
    """A wait of this song that holds up nobody, and is long since each try may cost an upload."""
    gap = ctx.timing.missing_gap * 2.0 ** min(doublings, 9)
    ctx.counters.rate_limited += fault.code == Code.RATE_LIMITED
    return RetryLater(
        f"{words}: {fault.message}",
        code=code,
        hint=fault.hint,
        counts=False,
        after=max(fault.after or 0.0, gap),
        http_status=fault.http_status,
        request_id=fault.request_id,
    )


def _reject(
    job: Job, fault: RetryLater | PauseService, code: str, words: str, times: int
) -> Reject:
    hint = _PAID if job.remote_id is not None else _UNPAID
    if job.state is JobState.SUBMITTING:
        code, hint = Code.SUBMISSION_UNCONFIRMED, Unconfirmed("").hint
    return Reject(
        f"{words}: {fault.message}",
        code=code,
        hint=hint,
        http_status=fault.http_status,
        request_id=fault.request_id,
        attempts=times,
    )
