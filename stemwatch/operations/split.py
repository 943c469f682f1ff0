"""`split`: runs the pipeline without an inbox, for the files and folders that are named.

Its jobs are in the service's journal under an owner of their own. So both can work at once, the
same content is paid for once, and the next run takes up one that was interrupted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from stemwatch.config import Settings, try_folder, try_folders
from stemwatch.disks import lock
from stemwatch.disks.places import Place
from stemwatch.errors import ConfigFault, JournalFault, PauseService, StemwatchError
from stemwatch.inbox.intake import Candidate, Intake
from stemwatch.inbox.names import Filter
from stemwatch.inbox.reading import Changed
from stemwatch.inbox.taking.admitting import AT_ONCE
from stemwatch.job import IN_OUTBOX, Job, JobState, Options
from stemwatch.operations import owners
from stemwatch.operations.control.holding import passed_over
from stemwatch.operations.songs import made_here, songs
from stemwatch.outbox import staging
from stemwatch.song_kinds import ALL
from stemwatch.wiring.working_set import intake_of, working_set
from stemwatch.workers.context import Context
from stemwatch.workers.pacing.timing import Timing
from stemwatch.workers.pool.turns import Pool

DRAIN_SECONDS = 75.0
OTHERS_SECONDS = 1.0  # seconds between two looks for deliveries of other processes


@dataclass(slots=True)
class Report:
    """The numbers of songs so far: found in the named paths, delivered and failed.

    `held` says why work has stopped, "" while it goes on.
    """

    found: int = 0
    delivered: int = 0
    failed: int = 0
    held: str = ""
    interrupted: bool = False

    @property
    def finished(self) -> int:
        return self.delivered + self.failed

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return 130
        if self.held or not self.found:
            return 1
        return 3 if self.failed else 0


@dataclass(frozen=True, slots=True)
class Order:
    """What to separate, with which options, and into which folder.

    `tell` is called with a line about each file, `show` with the progress.
    """

    paths: Sequence[str]  # absolute
    out: str
    options: Options
    jobs: int | None = None
    tell: Callable[[str, bool], None] = lambda line, good: None
    show: Callable[[Context, Report], None] = lambda context, report: None


@dataclass(slots=True)
class _Session:
    order: Order
    context: Context
    intake: Intake
    pool: Pool
    made_here: Sequence[str]  # folders of results, in which no songs are looked for
    report: Report = field(default_factory=Report)
    mine: set[int] = field(default_factory=set)


async def run_split(
    settings: Settings, order: Order, *, key: str | None, timing: Timing | None = None
) -> Report:
    """Separate all of `order`; returns the report. Raises StemwatchError if it can't start."""
    owner = f"split-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    _open_folders(settings, order.out)
    held = lock.InstanceLock(lock.of_owner(settings.state_dir, owner))
    place = Place(outbox=order.out)
    try:
        async with working_set(
            settings,
            key=key,
            places={None: place},
            timing=timing or Timing(),
            owner=owner,
            jobs=order.jobs,
        ) as context:
            for line in await passed_over(settings, context.journal, context.now()):
                order.tell(line, True)
            apart = [order.out, *made_here(settings)]
            session = _Session(order, context, intake_of(context, place), Pool(context), apart)
            await _work(session, settings.state_dir)
            return session.report
    finally:
        with suppress(FileNotFoundError):
            os.unlink(held.path)
        held.release()


def _open_folders(settings: Settings, out: str) -> None:
    """Check and make the folders. Raises ConfigFault before anything is paid for."""
    faults = try_folders(settings, below="state_dir")
    if fault := try_folder("-o", out):
        faults.append(fault)
    else:
        try:
            staging.require(out)
        except PauseService as odd:
            faults.append(f"-o: {odd.message} Move it away, or choose another folder.")
    if faults:
        raise ConfigFault(*faults)
    os.makedirs(lock.owners(settings.state_dir), mode=0o700, exist_ok=True)


async def _work(session: _Session, state_dir: str) -> None:
    context, report = session.context, session.report
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            session.pool.abort()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled)
    context.bell.at_the_end(lambda job: _ended(session, job))
    work = asyncio.create_task(session.pool.run())
    admitting = asyncio.create_task(_admit_all(session, state_dir))
    ends = [
        work,
        asyncio.create_task(stop.wait()),
        asyncio.create_task(_look_around(context)),
        asyncio.create_task(_finished(session, state_dir, admitting)),
    ]
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        report.interrupted = stop.is_set()
        for task in (admitting, *ends[1:]):
            task.cancel()
        await session.pool.stop(DRAIN_SECONDS)
        await asyncio.gather(admitting, *ends, return_exceptions=True)
        session.order.show(context, report)


async def _finished(session: _Session, state_dir: str, admitting: asyncio.Task[None]) -> None:
    """Return when all songs are done, or when the rest waits for something outside this run."""
    context, report, pool = session.context, session.report, session.pool
    others = owners.Others(context, state_dir)
    told = False
    while not report.held:
        session.order.show(context, report)
        if admitting.done():
            admitting.result()
            if await pool.idle():
                awaited = await context.journal.awaited(context.owner)
                if awaited is None:
                    return
                if awaited and not told:
                    session.order.tell(f"waits for {awaited[0][1]}, which is the same song", True)
                    told = True
                report.held = others.in_vain(awaited)
            elif await pool.stuck():
                pauses = [f"{p.message} {p.hint}" for p in context.gate.pauses]
                reasons = [*pauses, *context.troubles.reasons()]
                report.held = " ".join(reasons) or "The budget is used up."
        await asyncio.sleep(0.1)


async def _look_around(context: Context) -> None:
    """Wake the pool again and again: nothing else tells it of another process's deliveries."""
    while True:
        context.bell.wake()
        await asyncio.sleep(OTHERS_SECONDS)


def _ended(session: _Session, job: Job) -> None:
    """Count and report a job of this run that has ended."""
    if job.id not in session.mine:
        return
    session.mine.discard(job.id)
    report, tell = session.report, session.order.tell
    if job.state in IN_OUTBOX:
        report.delivered += 1
        tell(f"{job.relpath}: {_result(job)} -> {job.delivered_to}", True)
    else:
        report.failed += 1
        reason = f"{job.message or 'the file is gone.'} {job.hint or ''}".strip()
        tell(f"{job.relpath}: {reason}", False)


def _result(job: Job) -> str:
    tempo = f"{job.bpm:.1f} BPM" if job.bpm is not None else "tempo unknown"
    free = " (its own stems: nothing was paid)" if job.at_hand else ""
    return f"{tempo}, {job.key or 'key unknown'}{free}"


async def _admit_all(session: _Session, state_dir: str) -> None:
    """Add every file to the journal, a few at a time, while the pool is working."""
    seats = asyncio.Semaphore(AT_ONCE)
    tasks: set[asyncio.Task[None]] = set()

    async def admit(path: str, relpath: str) -> None:
        async with seats:
            await _admit(session, state_dir, path, relpath)

    try:
        for path, relpath in songs(session.order.paths, Filter(ALL), session.made_here):
            session.report.found += 1
            task = asyncio.create_task(admit(path, relpath))
            tasks.add(task)
            if len(tasks) >= 2 * AT_ONCE:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for finished in done:
                    finished.result()
        await asyncio.gather(*tasks)
    finally:  # none may outlive the audio helpers and the journal
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _admit(session: _Session, state_dir: str, path: str, relpath: str) -> None:
    order, context, report = session.order, session.context, session.report
    candidate = Candidate(
        path=path,
        relpath=relpath,
        options=order.options,
        outbox=order.out,
        origin="split",
        owner=context.owner,
    )
    try:
        job = await owners.taken_up(context, state_dir, candidate)
        if job is None:
            job = await session.intake.admit(candidate, patient=False)
    except (OSError, Changed) as fault:
        report.failed += 1
        reason = getattr(fault, "strerror", None) or "it changed while it was read"
        order.tell(f"{relpath}: can't be read: {reason}.", False)
        return
    except (JournalFault, PauseService):  # these concern all songs
        raise
    except StemwatchError as fault:  # it concerns one song; another run may have been first
        report.failed += 1
        order.tell(f"{relpath}: {fault.message} {fault.hint}".rstrip(), False)
        return
    session.mine.add(job.id)
    if job.state in (*IN_OUTBOX, JobState.QUARANTINED):
        _ended(session, job)
    context.bell.added(job)
