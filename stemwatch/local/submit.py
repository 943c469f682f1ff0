"""From an upload to a job: received, checked, durable, and made once for each idempotency key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator

from starlette.exceptions import HTTPException

from stemwatch.job import FORMATS, STEMS
from stemwatch.local.process import TaskFailed, Worker, WorkerDied
from stemwatch.local.store import Record, Store, input_name
from stemwatch.local.uploads import Form, receive

PROBE_SECONDS = 60.0
RETRY_AFTER = 2  # seconds; a seat may get free at any moment


class Prober:
    """One warm process that says whether a file is audio; a decoder's crash stays in there."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._turn = asyncio.Lock()

    async def check(self, source: str, name: str) -> None:
        """HTTPException 415 when it isn't audio that can be decoded."""
        async with self._turn:
            if self._worker is None or not self._worker.alive:
                self._worker = await Worker.start(None)
            task = {"task": "probe", "source": source, "name": name}
            try:
                await self._worker.call(task, silence=PROBE_SECONDS)
            except WorkerDied as fault:
                raise HTTPException(415, f"{name!r} broke the decoder: {fault}.") from None
            except TaskFailed as fault:
                if fault.kind != "rejected":
                    raise HTTPException(500, str(fault)) from None
                raise HTTPException(415, str(fault)) from None
            except asyncio.CancelledError:
                await self.stop()  # it would give this answer to the next question
                raise

    async def stop(self) -> None:
        if self._worker is not None:
            await self._worker.stop()
            self._worker = None


class Submissions:
    """Turns uploads into jobs. `cap`: more jobs than this at once are refused; None: they queue."""

    def __init__(self, store: Store, *, engine: str, cap: int | None) -> None:
        self._store = store
        self._engine = engine
        self._cap = cap
        self._receiving = 0
        self._commit = asyncio.Lock()
        self._prober = Prober()

    @contextlib.contextmanager
    def seat(self, busy: int) -> Iterator[None]:
        """Count an upload from its start, so that several at once can't pass the cap together."""
        if self._cap is not None and busy + self._receiving >= self._cap:
            raise HTTPException(
                429, f"All {self._cap} jobs are taken.", {"Retry-After": str(RETRY_AFTER)}
            )
        self._receiving += 1
        try:
            yield
        finally:
            self._receiving -= 1

    async def receive(
        self, chunks: AsyncIterator[bytes], content_type: str, key: str | None
    ) -> tuple[Record, bool]:
        """The job, and whether it is new. Until its last byte came, nothing of it is kept.

        HTTPException 503 when the disk or the machine can't take it now, and those of `uploads`.
        """
        job_id = ""
        try:
            job_id, folder = self._store.begin()
            upload = os.path.join(folder, "upload")
            form = await receive(chunks, content_type, upload)
            record = self._record(job_id, form, key)
            source = os.path.join(folder, record.input)
            os.rename(upload, source)
            await self._prober.check(source, record.name)
            async with self._commit:
                # Another request with this key may have come to its end while we received.
                if (known := self._store.by_key(key)) is not None:
                    return known, False
                await asyncio.to_thread(self._store.commit, record)
                return record, True
        except OSError as fault:
            message = f"The server can't store the file now: {fault.strerror or fault}."
            raise HTTPException(503, message, {"Retry-After": "60"}) from None
        finally:
            if job_id:
                await asyncio.to_thread(self._store.discard, job_id)

    async def stop(self) -> None:
        await self._prober.stop()

    def _record(self, job_id: str, form: Form, key: str | None) -> Record:
        if form.filename is None:
            raise HTTPException(422, "The file is missing: send it in the field 'audio'.")
        if form.size == 0:
            raise HTTPException(422, f"{form.filename!r} is empty.")
        if form.fields.get("webhook_url"):
            raise HTTPException(501, "This server calls no webhooks yet; poll the job instead.")
        stems, form_format = form.fields.get("stems"), form.fields.get("format")
        if stems not in {str(number) for number in STEMS}:
            raise HTTPException(422, "The field 'stems' must be 2, 4 or 6.")
        if form_format not in FORMATS:
            raise HTTPException(422, f"The field 'format' must be one of {', '.join(FORMATS)}.")
        return Record(
            id=job_id,
            name=form.filename,
            input=input_name(form.filename),
            stems=int(stems),
            format=form_format,
            engine=self._engine,
            created_at=time.time(),
            idempotency_key=key,
        )
