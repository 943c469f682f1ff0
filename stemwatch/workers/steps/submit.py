"""queued -> submitting -> separating: the one step that costs money.

Everything but the multipart's closing boundary is sent first. Then the upload waits for a free slot
at the remote, commits the intent, and sends the last bytes. A request that is cut off before those
can't have been accepted; only between them and the answer is the outcome uncertain.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Collection

from stemwatch.codes import SUBMIT, Code
from stemwatch.disks.patience import patiently
from stemwatch.errors import (
    PauseService,
    Reject,
    RetryLater,
    StemwatchError,
    TakenBack,
    Unconfirmed,
)
from stemwatch.job import CLEARED, Job, JobState
from stemwatch.log import redacted
from stemwatch.stemsplit.interface import Submitted, TooLarge, Upload
from stemwatch.stemsplit.line.source import on_a_disk
from stemwatch.workers.context import Context
from stemwatch.workers.holding_back import hold_others
from stemwatch.workers.preparing.form import prepared
from stemwatch.workers.preparing.original import looks, opened, unreadable
from stemwatch.workers.progress import SEPARATING, UPLOAD
from stemwatch.workers.steps.own_fault import spared


async def submit(ctx: Context, job: Job, alike: Collection[Job]) -> Job:
    """Upload the song and return the job as `separating`.

    `alike` are the ended jobs of its content, whose stems can't be reused. Raises AlreadyPaid if
    another one ends meanwhile. Raises TakenBack, Reject, Unconfirmed, RetryLater or PauseService.
    After each of them the journal is right about what may have been charged.
    """
    async with opened(ctx, job) as fd:
        attempt = _Attempt(ctx, job, fd, alike)
        try:
            answer = await _send(attempt, fd)
        except BaseException as met:
            fault = spared(ctx, job, attempt.judged(met))
            await attempt.refused(fault)
            if fault is met:
                raise
            raise fault from met
    accepted = ctx.clock()
    attempt.learn(accepted)
    ctx.memory.overtaken.served(SUBMIT, attempt.let_go, job.id)
    separating = await confirm(ctx, attempt.job, answer)
    if any(pause.code == Code.CREDIT for pause in ctx.gate.pauses):
        ctx.credit.turned()  # this song's success ends that pause
    ctx.progress.stage(job.id, job.name, SEPARATING, ctx.polls.estimate.typical)
    ctx.polls.started(job.id, accepted, answer.remote_id, job.duration)
    return separating


async def _send(attempt: _Attempt, fd: int) -> Submitted:
    """Send the song in its form; one that is too large for a ticket may have a smaller form."""
    ctx, job = attempt.ctx, attempt.job
    original = Upload(fd=fd, size=job.identity.size, filename=job.name, codec=job.codec)
    form = original
    try:
        async with prepared(ctx, job, original) as form:
            return await attempt.send(form)
    except TooLarge as fault:
        if form is not original:
            raise
        async with prepared(ctx, job, original, fault) as form:
            return await attempt.send(form)


class _Attempt:
    """One try to submit; `job` is the row that the journal holds."""

    def __init__(self, ctx: Context, job: Job, fd: int, alike: Collection[Job]) -> None:
        self.ctx = ctx
        self.job = job
        self._alike = alike
        self._fd = fd
        self._last_bytes = False
        self._sent = 0  # bytes of this attempt; 0 where the storage still holds an earlier upload
        self.began = self._whole = self.let_go = ctx.clock()
        # One key per intent: a retry after an answer that may have been lost repeats the key.
        self.idempotency_key = job.idempotency_key or uuid.uuid4().hex

    async def send(self, upload: Upload) -> Submitted:
        ctx, job = self.ctx, self.job
        entry = ctx.progress.stage(job.id, job.name, UPLOAD, upload.size)
        counted = ctx.counters.sent.transfer()

        def sent(count: int) -> None:
            counted(count)
            self._sent = entry.done = count
            ctx.progress.touch()
            if ctx.ahead.sent(job.id, count):
                ctx.bell.hurry()

        self.job = job.evolve(uploaded_codec=upload.codec, uploaded_bytes=upload.size)
        ctx.ahead.sends(job.id, upload.size)
        await ctx.requests.take()
        _require_open(ctx, job)  # a pause may have begun since the job was claimed
        self.began = ctx.clock()
        return await ctx.api.submit(
            upload,
            job.options,
            idempotency_key=self.idempotency_key,
            before_last_bytes=self.intend,
            on_sent=sent,
        )

    async def intend(self) -> None:
        """Before the last bytes: wait for a slot, check the file again, commit the intent."""
        ctx = self.ctx
        self._whole = ctx.clock()
        ctx.counters.upload.add(self._whole - self.began)
        ctx.ahead.whole(self.job.id)
        ctx.bell.hurry()
        try:
            async with asyncio.timeout(ctx.ahead.longest_hold):
                await ctx.slots.acquire(self.job.id, early=self.job.first_at is not None)
        except TimeoutError as fault:
            raise RetryLater(
                "no slot at the server became free in time; the upload starts again later.",
                code=Code.NO_SLOT,
                counts=False,
                after=0.0,
            ) from fault
        ctx.ahead.admitted(self.job.id)
        await self._still_there()
        _require_open(ctx, self.job)  # last, since a pause may begin while the disk is waited for
        ctx.committed.add(self.job.id)
        commit = asyncio.ensure_future(self._commit())
        stopped = False
        while not commit.done():
            try:
                await asyncio.shield(commit)
            except asyncio.CancelledError:
                stopped = True  # the commit takes milliseconds, and `refused` needs its result
        self.job = commit.result()
        if stopped:
            raise asyncio.CancelledError
        self._last_bytes = True
        self.let_go = ctx.clock()

    def learn(self, now: float) -> None:
        """The song was accepted at `now`: tell `Ahead` how long the upload took, without its wait.

        The time after the last bytes counts, since a slow line's buffers empty only then.
        """
        if self._sent:
            took = self._whole - self.began + now - self.let_go
            self.ctx.ahead.answered(self._sent, took)

    async def _commit(self) -> Job:
        ctx, minutes = self.ctx, (self.job.duration or 0.0) / 60.0
        return await ctx.journal.intend(
            self.job,
            idempotency_key=self.idempotency_key,
            minutes=0.0 if ctx.local else minutes,
            price=ctx.budget.price,
            limits=[] if ctx.local else ctx.budget.limits(ctx.now(), self.job.inbox),
            alike=self._alike,
        )

    async def _still_there(self) -> None:
        """Raise TakenBack if the user took the file back, or changed it, which makes it another."""
        place = self.ctx.place_of(self.job)
        same = place.same
        try:
            if on_a_disk(self._fd):  # the slot stands empty meanwhile: save the trip to a thread
                opened, path_is = looks(self._fd, self.job.path)
            else:
                # Given up where the share hangs: the slot is everybody's.
                opened, path_is = await patiently(
                    place.require_inbox,
                    looks,
                    self._fd,
                    self.job.path,
                    slow=self.ctx.timing.disk_slow,
                )
        except OSError as fault:
            raise unreadable(self.ctx, self.job, fault) from fault
        if path_is is None:  # or its share went away while it was uploaded
            await place.require_inbox()
        if not same(opened, self.job.identity) or not same(path_is, self.job.identity):
            raise TakenBack(f"{self.job.name} was taken back or changed before it was submitted.")

    def judged(self, fault: BaseException) -> BaseException:
        """`fault`, or Unconfirmed for a fault after the last bytes that is not the API's answer.

        The song may have been accepted then: a full disk of ours, for example, is no refusal.
        """
        known = isinstance(fault, StemwatchError) and not (
            isinstance(fault, PauseService) and fault.http_status is None
        )
        sent = self._last_bytes and self.job.state is JobState.SUBMITTING
        if not sent or known or not isinstance(fault, Exception):
            return fault
        return Unconfirmed(redacted(f"an unexpected fault after the last bytes: {fault!r}."))

    async def refused(self, fault: BaseException) -> None:
        """The song was refused, or no answer came: correct the journal and release the slot."""
        ctx, job = self.ctx, self.job
        hold_others(ctx, job, fault)
        if isinstance(fault, RetryLater) and fault.code in {Code.NO_SLOT, Code.NOT_WAITED}:
            ctx.ahead.expired(job.id, closed=fault.code == Code.NOT_WAITED)
        try:
            if job.state is JobState.SUBMITTING:
                await self._correct(fault)
        finally:  # the journal fails where another process has moved the job on
            if isinstance(fault, RetryLater) and fault.code == Code.RATE_LIMITED:
                self._fewer_slots()  # before the release: the next song would be refused too
            ctx.slots.release(job.id)
        # The job stays in `committed` until the pool has concluded it. Otherwise a drain could
        # cancel a refusal before it is in the journal, and leave a `submitting` without need.

    async def _correct(self, fault: BaseException) -> None:
        """Have the journal say what the submission may have cost. Raises StaleJob."""
        ctx, job = self.ctx, self.job
        took_nothing = isinstance(fault, RetryLater | PauseService) or not self._last_bytes
        if took_nothing:
            code = getattr(fault, "code", Code.STOPPED)
            await ctx.insist(lambda: ctx.journal.take_back(job, code))
        elif isinstance(fault, Reject) and not isinstance(fault, Unconfirmed):
            await ctx.insist(lambda: ctx.journal.unbook(job))
        # else: unconfirmed; it stays `submitting` until the pool or a person decides

    def _fewer_slots(self) -> None:
        """Lower the number of slots, unless the 429 came to an upload ahead or to a storage."""
        ctx = self.ctx
        asked = self._last_bytes or ctx.api.keeps_uploads is None
        if asked and not ctx.ahead.refused(self.job.id):
            ctx.slots.refused()


def _require_open(ctx: Context, job: Job) -> None:
    pauses = ctx.gate.bars(SUBMIT, job.inbox)
    if pauses and ctx.gate.on_trial != job.id:
        # a code of its own: `rate_limited` would count as another 429
        raise RetryLater(pauses[0].message, code=Code.HELD, counts=False, after=0.0)


async def confirm(ctx: Context, job: Job, answer: Submitted) -> Job:
    """Commit the remote id, however long the disk takes, since it is worth the song's price."""
    ctx.credit.spent()
    return await ctx.insist(
        lambda: ctx.journal.advance(
            job,
            JobState.SEPARATING,
            remote_id=answer.remote_id,
            request_id=answer.request_id,
            attempts=0,
            not_before=0.0,
            **CLEARED,
        )
    )
