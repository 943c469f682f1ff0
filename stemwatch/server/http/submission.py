"""Makes a job of a received file: checked, durable, and once for each idempotency key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stemwatch.receiving.multipart_in import Form, receive
from stemwatch.receiving.refusal import Refused
from stemwatch.server.http.quota import credits_for, not_enough
from stemwatch.server.http.tickets import gone
from stemwatch.server.offer import Menu
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.probing import Prober
from stemwatch.server.work.record import Record, input_name
from stemwatch.server.work.records import NotEnough, Records
from stemwatch.server.work.trial import Trial
from stemwatch.tasks import to_its_end

QUICKER = 3.0  # seconds from the taking of an upload to the record of its job, on a slow disk
RETRY_AFTER = 2  # seconds; a seat may get free at any moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client asks for; its fields are those of `Record` with the same names."""

    name: str
    stems: int
    format: str
    origin: str
    idempotency_key: str | None
    owner: str = ""
    only: str | None = None
    quality: str = "BEST"
    metadata: Mapping[str, Any] | None = None
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused: more `jobs` at once (None: they queue); shorter, longer songs (seconds)."""

    jobs: int | None = None
    shortest: float = 0.0
    longest: float | None = None

    def check(self, name: str, seconds: float) -> None:
        """Refused with 422 when `seconds` of audio are too few or too many."""
        if seconds < self.shortest:
            raise Refused(
                422,
                f"{name!r} lasts {seconds:.1f} s; this server takes {self.shortest:g} s and more.",
                code="AUDIO_TOO_SHORT",
            )
        if self.longest is not None and seconds > self.longest:
            raise Refused(
                422,
                f"{name!r} lasts {seconds:.1f} s; this server takes up to {self.longest:g} s.",
                code="AUDIO_TOO_LONG",
            )


class Submissions:
    """Turns files into jobs, whichever wire they came by."""

    def __init__(
        self, files: Files, records: Records, *, offer: Menu, limits: Limits, trial: Trial
    ) -> None:
        self._files = files
        self._records = records
        self._offer = offer
        self._limits = limits
        self._under_way = 0
        self._commit = asyncio.Lock()
        self._prober = Prober(trial)

    @contextlib.contextmanager
    def seat(self, busy: int) -> Iterator[None]:
        """Count a submission while this is open, so that several can't pass the cap together."""
        cap = self._limits.jobs
        if cap is not None and busy + self._under_way >= cap:
            raise Refused(429, f"All {cap} jobs are taken.", {"Retry-After": str(RETRY_AFTER)})
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def receive(
        self,
        chunks: AsyncIterator[bytes],
        content_type: str,
        describe: Callable[[Form], Wanted],
        allowance: int | None = None,
    ) -> tuple[Record, bool]:
        """Return a multipart body's job, and whether it is new; `describe` may refuse the form.

        `allowance`: the caller's seconds of audio in all; refused with 402 when they are too few.

        Nothing is kept of a body that does not come whole. Refused as `multipart_in.receive`
        refuses. OSError when the disk can't take it now.
        """
        folder = ""
        try:
            _, folder = await asyncio.to_thread(self._files.begin)
            path = os.path.join(folder, "upload")
            wanted = describe(await receive(chunks, content_type, path))
            return await self.adopt(path, wanted, allowance)
        finally:
            if folder:
                await asyncio.to_thread(self._files.discard, os.path.basename(folder))

    async def adopt(
        self, path: str, wanted: Wanted, allowance: int | None = None
    ) -> tuple[Record, bool]:
        """Return the job of an uploaded file, and whether it is new; a refused file stays there.

        OSError when the disk can't take it now.
        """
        if (why := self._offer.refusal(wanted.stems)) is not None:
            raise Refused(422, why)
        try:
            seconds = await self._prober.duration(path, wanted.name)
            self._limits.check(wanted.name, seconds)
            size = await asyncio.to_thread(os.path.getsize, path)
        except (Refused, FileNotFoundError):
            if await asyncio.to_thread(_lies, path):
                raise
            return await self.quicker(wanted), False
        async with self._commit:  # of two requests with one upload, one must find the other's job
            try:
                return await self._make(path, wanted, seconds, size, allowance)
            except FileNotFoundError:
                if await asyncio.to_thread(_lies, path):  # the jobs' folder is not there
                    raise
                return await self.quicker(wanted), False

    async def stop(self) -> None:
        await self._prober.stop()

    async def quicker(self, wanted: Wanted) -> Record:
        """The job that the same request makes, only quicker, of the upload that has gone.

        It may be at another front end, and not recorded yet: to be refused now would make the
        client send the file again.
        """
        until = time.monotonic() + QUICKER
        while True:
            known = await self._records.by_key(wanted.idempotency_key, wanted.owner)
            if known is not None:
                return known
            if time.monotonic() > until:
                raise gone()
            await asyncio.sleep(0.05)

    async def _make(
        self, path: str, wanted: Wanted, seconds: float, size: int, allowance: int | None
    ) -> tuple[Record, bool]:
        job_id, folder = await asyncio.to_thread(self._files.begin)
        record = Record(
            id=job_id,
            input=input_name(wanted.name),
            **self._offer.made_by(wanted.stems),
            created_at=time.time(),
            size=size,
            duration=seconds,
            credits=credits_for(seconds),
            **{name: getattr(wanted, name) for name in Wanted.__slots__},
        )
        source = os.path.join(folder, record.input)
        made: Record | None = None
        try:
            await to_its_end(os.rename, path, source)
            made = await self._records.add(record, allowance)
        except NotEnough as fault:
            raise not_enough(record.credits, fault.left) from None
        finally:
            if made is None or made.id != job_id:
                with contextlib.suppress(OSError):  # the client may try again with the same upload
                    await to_its_end(os.rename, source, path)
            await asyncio.to_thread(self._files.discard, job_id)
        return made, made.id == job_id


def _lies(path: str) -> bool:
    """Whether the upload is still in its folder; OSError where that is not there."""
    os.stat(os.path.dirname(path))
    return os.path.exists(path)
