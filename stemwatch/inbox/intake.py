"""Intake: makes a settled file a job in the journal, after comparing it with known songs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.audio.preparing.plans import plan, refusal
from stemwatch.audio.results import Probe
from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.inbox.reading import FileReader, Reading, Same
from stemwatch.inbox.taking.known_jobs import (
    covers,
    is_kept,
    is_read_back,
    is_refused,
    is_still_here,
    may_be_there,
    readable,
    undecided,
)
from stemwatch.inbox.taking.telling import tell_fewer, tell_queued
from stemwatch.job import (
    AT_HAND,
    Identity,
    Job,
    JobState,
    Options,
    content_key,
    options_at_hand,
    resume_state,
    resumed_fields,
)
from stemwatch.journal.journal import Journal
from stemwatch.limits import Limits
from stemwatch.log import log


class Incomplete(Exception):
    """The file lacks bytes that its own header promises. They may still come."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A settled file on its way into the journal. `outbox` is the folder its result goes to."""

    path: str
    relpath: str
    options: Options
    outbox: str
    origin: str = "inbox"
    owner: str | None = None
    inbox: str | None = None  # its name, where there are several


class Intake:
    """Admits settled files. `same` tells whether two identities, seen at one path, are one file.

    `demand_disks` raises PauseService where the disks of a job's results are away. `keeps`: files
    stay in the inbox once they are delivered. `keys` gives `prepare.upload` and
    `prepare.low_bitrate`.
    """

    def __init__(
        self,
        journal: Journal,
        audio: AudioHelper,
        *,
        local: bool,
        limits: Limits,
        same: Same,
        demand_disks: Callable[[Job], Awaitable[None]],
        keeps: Callable[[], bool] = lambda: False,
        keys: Callable[[], tuple[str, str]] = lambda: ("auto", "send"),
    ) -> None:
        self._journal = journal
        self._local = local
        self._limits = limits
        self._demand_disks = demand_disks
        self._keeps = keeps
        self._keys = keys
        self._same = same
        self._deciding: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by path
        self.reader = FileReader(audio, max_bytes=limits.largest_read, same=same)

    async def admit(self, candidate: Candidate, *, patient: bool) -> Job:
        """Add this file to the journal; as `quarantined` if it can't be separated. Returns the job.

        `patient`: raise Incomplete where bytes seem to be missing, since they may still come.
        Raises Changed, FileNotFoundError, NotYet or PauseService as well; nothing is added then.
        """
        read = await self.reader.read(candidate.path, patient=patient)
        if read.lack is not None and patient:
            raise Incomplete(read.lack.message)
        # What came over HTTP is admitted at once, and a scan may find it as well: whoever is second
        # has to see the job of the first.
        async with self._deciding.setdefault(candidate.path, asyncio.Lock()):
            if (fault := self._fault_of(read, candidate.path)) is not None:
                return await self._refuse(candidate, read.identity, read.sha256 or "", fault)
            return await self._accept(candidate, read)

    def _fault_of(self, read: Reading, name: str) -> Reject | None:
        """Why the file can't be separated, or None."""
        if read.lack is not None:
            return _truncated(read.lack.message)
        if read.sha256 is None:
            return self._limits.of_file(read.identity.size)
        if read.probe is None:
            return read.fault
        if read.probe.stem_file:
            return None  # nothing of it is sent: the API's limits are not its own
        return self._too_large(read.probe, name, read.identity.size) or self._limits.of_audio(
            read.probe.duration
        )

    def _too_large(self, sound: Probe, name: str, size: int) -> Reject | None:
        """Why nothing that may be sent of the song is small enough; None where it may be."""
        upload, low_bitrate = self._keys()
        largest = self._limits.largest
        chosen = plan(
            sound, name, size, largest, upload=upload, low_bitrate=low_bitrate, near=self._local
        )
        return refusal(chosen, sound, size, self._limits)

    async def _accept(self, candidate: Candidate, read: Reading) -> Job:
        sha256, probe = read.sha256, read.probe
        assert sha256 is not None  # or `_fault_of` had found a fault
        assert probe is not None
        content = read.audio_sha256 or sha256
        at_hand = probe.stem_file
        options = options_at_hand(candidate.options) if at_hand else candidate.options
        where = {"local": self._local, "at_hand": at_hand}
        by_bytes = content_key(sha256, options, **where)
        job = _job(candidate, read.identity, sha256, JobState.QUEUED).evolve(
            audio_sha256=read.audio_sha256,
            content_key=content_key(content, options, **where),
            options=options,
            engine=AT_HAND if at_hand else None,
            duration=probe.duration,
            codec=probe.codec,
            sample_rate=probe.sample_rate,
            channels=probe.channels,
        )
        if (kept := await self._read_back(job)) is not None:
            return kept
        added = await self._journal.add_new(job, by_bytes)
        if added is None:
            return await self._accept_akin(candidate, job)
        tell_queued(added)
        if options != candidate.options:
            tell_fewer(added, candidate.options)
        return added

    async def _read_back(self, job: Job) -> Job | None:
        """The kept job of this file, whose path was lost with the journal, with its path; or None.

        A sidecar has no bytes that are no UTF-8, so that such a file is not known by its path.
        """
        if not self._keeps() or readable(job.relpath) == job.relpath:
            return None
        for other in await self._journal.with_content(job.content_key, (JobState.DONE,)):
            if is_read_back(other, job):
                seen = {"path": job.path, "relpath": job.relpath, "identity": job.identity}
                return await self._journal.amend(other, **seen, updated_at=other.updated_at)
        return None

    async def _accept_akin(self, candidate: Candidate, job: Job) -> Job:
        """Admit a song whose path has other jobs, or whose content has some in quarantine."""
        at_path, quarantined = await self._journal.akin(job.path, job.content_key)
        known = await self._known(job, at_path)
        known = known or await self._back_from_quarantine(job, quarantined)
        if known is not None:
            return known
        if (held := undecided(quarantined)) is not None:
            return await self._refuse(candidate, job.identity, job.sha256, held)
        added = await self._journal.add(job)
        tell_queued(added)
        return added

    async def _known(self, job: Job, at_path: list[Job]) -> Job | None:
        """The job of the same content at this path, its identity corrected; None: there is none.

        A file with new tags is still the file of its job. A queued job whose file was replaced by
        another content ends here.
        """
        for other in at_path:
            if other.owner != job.owner:
                continue
            if self._keeps() and is_kept(other) and covers(other, job):
                # Touched, or restored from a backup: its delivery is not repeated.
                told = {"identity": job.identity, "updated_at": other.updated_at}
                return await self._journal.amend(other, **told)
            if not is_still_here(other):
                continue
            if other.content_key == job.content_key:
                told = {"identity": job.identity, "sha256": job.sha256}
                return await self._journal.amend(other, **told)
            if other.state is JobState.QUEUED:
                await self._replaced(other)
        return None

    async def _replaced(self, other: Job) -> None:
        reason = "replaced by another content"
        await self._journal.advance(other, JobState.GONE, reason)
        log.info("job.gone", **other.named, reason=reason)

    async def _back_from_quarantine(self, job: Job, quarantined: list[Job]) -> Job | None:
        """Resume a quarantined job whose file a person moved back, as `stemwatch retry` does."""
        for other in quarantined:
            # A file that is not moved yet, was never moved or is gone can't have been moved back.
            if not other.filed_to or other.filed_to == other.path or other.owner != job.owner:
                continue
            # If the quarantine's disk is away, its file only seems to be moved: an unconfirmed song
            # would be submitted, and perhaps paid for, again.
            await self._demand_disks(other)
            if await asyncio.to_thread(may_be_there, other.filed_to):
                continue
            # A song that is dropped into another inbox belongs to that one.
            theirs = {"inbox": job.inbox, "outbox": job.outbox} if other.inbox != job.inbox else {}
            resumed = await self._journal.advance(
                other,
                resume_state(other),
                "back in the inbox",
                **resumed_fields(other),
                **theirs,
                path=job.path,
                relpath=job.relpath,
                identity=job.identity,
                sha256=job.sha256,
                options=job.options,
            )
            log.info("job.retried", **job.named, id=other.id, state=str(resumed.state))
            return resumed
        return None

    async def _refuse(
        self, candidate: Candidate, identity: Identity, sha256: str, fault: Reject
    ) -> Job:
        """Add the file to the journal as quarantined; the pool moves it later.

        If it is there already, and still to be moved, return that job.
        """
        job = _job(candidate, identity, sha256, JobState.QUARANTINED).evolve(
            code=fault.code,
            message=fault.message,
            hint=fault.hint,
            filed_to=candidate.path if candidate.origin == "split" else None,
        )
        for other in (await self._journal.at_paths([job.path])).get(job.path, []):
            if other.state is JobState.QUEUED:
                await self._replaced(other)
            elif is_refused(other, job, self._same):
                return other
        added = await self._journal.add(job)
        log.error(
            "job.quarantined",
            **job.named,
            code=fault.code,
            message=fault.message,
            hint=fault.hint,
            id=added.id,
        )
        return added


def _job(candidate: Candidate, identity: Identity, sha256: str, state: JobState) -> Job:
    return Job(
        id=0,
        state=state,
        path=candidate.path,
        relpath=candidate.relpath,
        identity=identity,
        sha256=sha256,
        content_key=f"{sha256 or candidate.path!r}:refused",
        options=candidate.options,
        outbox=candidate.outbox,
        origin=candidate.origin,
        owner=candidate.owner,
        inbox=candidate.inbox,
    )


def _truncated(message: str) -> Reject:
    return Reject(
        f"It is incomplete: {message}.",
        code=Code.TRUNCATED,
        hint="Copy the whole file again, then drop it once more.",
    )
