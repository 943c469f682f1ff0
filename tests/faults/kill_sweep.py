"""The service is killed at its file-system and network system calls, one run for each of them.

    python -m tests.faults.kill_sweep --points 400                 SIGKILL, the whole sweep
    python -m tests.faults.kill_sweep --points 60 --signal TERM    the same with SIGTERM

A run without a fault shows which system calls each thread makes, and how often: that many points
there are. strace then sends the signal at the n-th such call of any thread (SIGKILL before the call
is made), the service is started again and finishes, and what is left is looked at. Each run works
off three songs (two of 2 stems in WAV, one of 6 in FLAC with a mix and a stem file), one content
twice, and a file that is no audio. The calls of a thread before the first file is seen, such as the
journal's making, are points too. The audio helper is another process: it is never killed alone (see
`forked`).

Exits 1 if a promise was broken: an input lost, a result seen half made, a song paid for twice, work
that the restart did not finish, a hidden file left behind, a song held as `submission_unconfirmed`
that `status` does not list with its command; after a SIGTERM any such song at all. After SIGKILL
some have to be: what was sent whole and not yet answered may be paid for or not, and on wire A
nobody can be asked. At most 5 % of the songs are allowed to be such, over the whole sweep. (Of the
kills it is a larger share, which says more about the sweep than about the service: it aims at the
few calls around the charge, such as each of the rare flushes, far more often than chance would.)
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemwatch.audio.preparing.exact_flac import prepare
from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import wav_bytes
from tests.faults import result
from tests.faults.forked import Forks, Stuck
from tests.faults.looking import Observer, litter, originals
from tests.faults.result import Result
from tests.support.scenario.server import ScenarioServer

FACTOR = 0.02  # all waiting times of the service
MOST_DOUBT = 5.0  # percent of the songs that SIGKILLs may leave unconfirmed
ENOUGH = 100  # runs, for that share to be one
PATIENCE = 90.0  # seconds until a run counts as stuck
# All calls on files and sockets, but not those that only wait or only describe descriptors.
CALLS = (
    "trace=%file,%network,read,write,readv,writev,pread64,pwrite64,preadv,pwritev,fsync,fdatasync,"
    "sync_file_range,ftruncate,fallocate,close,flock,fcntl,getdents64,fstat,lseek,dup,dup2,dup3,"
    "pipe2,sendfile,copy_file_range,fchmod,fchown,inotify_add_watch,inotify_init1"
)
# These make things durable, visible or charged: a small sweep begins with them.
FIRST = ("sendto", "renameat2", "fdatasync", "rename", "recvfrom", "pwrite64", "unlink", "linkat")
_LINE = re.compile(r"(\d+) +(\w+)\(")
SONGS = {
    "a song.wav": wav_bytes(1),
    "another.wav": wav_bytes(2, seconds=66.0),  # large enough to be sent as FLAC
    "the same again.wav": wav_bytes(1),
    "six/six.wav": wav_bytes(3),
    "broken.wav": b"RIFF\x04\x00\x00\x00 no sound at all" * 64,
}
SONGS_EACH = 4  # among them, that are audio
PAYABLE = 3  # different contents among them that can be separated


@functools.cache
def _original_of() -> dict[str, str]:
    """The digest of each FLAC that is sent -> the digest of its song."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        song, flac = Path(folder, "song.wav"), Path(folder, "song.flac")
        for content in (data for data in SONGS.values() if len(data) > 1_000_000):
            song.write_bytes(content)
            prepare(str(song), str(flac))
            digest = hashlib.sha256(flac.read_bytes()).hexdigest()
            found[digest] = hashlib.sha256(content).hexdigest()
    return found


@dataclass(frozen=True, slots=True)
class Point:
    """The n-th call of this name that a thread makes."""

    call: str
    n: int

    def __str__(self) -> str:
        return f"{self.call} {self.n}"


@dataclass(slots=True)
class Figures:
    """What was found; `broken` names the points at which a promise was."""

    runs: int = 0
    hit: int = 0
    lost: int = 0
    partial: int = 0
    paid_twice: int = 0
    unfinished: int = 0
    unconfirmed: int = 0
    charged: int = 0  # of these
    unlisted: int = 0
    litter: Counter[str] = field(default_factory=Counter)  # hidden files, by kind of name
    looks: int = 0
    delivered: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)  # points that left something unconfirmed
    broken: list[str] = field(default_factory=list)

    @property
    def doubt(self) -> float:
        """How many of the songs were left unconfirmed, in percent."""
        return 100.0 * self.unconfirmed / (SONGS_EACH * self.runs) if self.runs else 0.0

    @property
    def faults(self) -> list[str]:
        """Where a promise was broken: at a point, or over all of them."""
        found = list(self.broken)
        if self.doubt > MOST_DOUBT and self.runs >= ENOUGH:
            found.append(f"{self.doubt:.1f} % of the songs unconfirmed, {MOST_DOUBT:g} allowed")
        return found

    def text(self, signal: str) -> str:
        return "\n".join(
            (
                f"{signal} sent at {self.hit} points ({len(self.calls)} different system calls)",
                f"inputs lost                {self.lost}",
                f"partial results seen       {self.partial} (in {self.looks} looks)",
                f"paid twice                 {self.paid_twice}",
                f"not finished after restart {self.unfinished}",
                f"unconfirmed                {self.unconfirmed} songs ({self.doubt:.1f} %), "
                f"{self.charged} of them charged, at {self.held.total()} points "
                f"{dict(self.held) or ''}; {self.unlisted} not listed by status",
                f"songs delivered            {self.delivered}",
                f"hidden files left behind   {self.litter.total()} {dict(self.litter) or ''}",
            )
        )

    def result(self, signal: str) -> Result:
        found = (
            f"{self.lost} inputs lost, {self.partial} partial results in {self.looks:,} looks, "
            f"{self.paid_twice} paid twice, {self.unfinished} unfinished after the restart, "
            f"{self.litter.total()} hidden files left"
        )
        if signal == "TERM":
            attack = f"SIGTERM at {self.hit} of the same calls ({len(self.calls)} kinds)"
            found += f"; {self.unconfirmed} songs for their owner to confirm"
            return Result("a stop costs nothing", attack, found, self.faults)
        attack = (
            f"SIGKILL at {self.hit} of its file-system and network calls ({len(self.calls)} kinds),"
            " 2 and 6 stems, restart; an observer hashes what is visible all the time"
        )
        at = 100.0 * self.held.total() / self.hit if self.hit else 0.0
        found += (
            f"; {self.doubt:.1f} % of the songs (at {at:.1f} % of the kills) were left for their "
            "owner to confirm (`submission_unconfirmed`, listed by `status` with the command)"
        )
        promise = "nothing lost, paid twice or half seen when it is killed"
        return Result(promise, attack, found, self.faults)


class Case:
    """One point: a home of its own, a server of its own, two runs."""

    def __init__(self, root: Path, server: ScenarioServer) -> None:
        self.home = Home(
            root,
            server.url,
            watch={"settle_seconds": 0.05, "rescan_seconds": 0.3},
            api={"poll_interval": 0.05},
            separation={"stems": 2, "format": "wav"},
            presets={
                "six": {
                    "stems": 6,
                    "format": "flac",
                    "mixes": {"instrumental": ["drums", "bass", "other", "guitar", "piano"]},
                    "stem_file": "alac",
                }
            },
        )
        self.server = server
        for name, content in SONGS.items():
            path = self.home.inbox / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        self.before = self.originals()

    def originals(self) -> Counter[str]:
        home = self.home
        return originals(home.inbox, home.archive, home.quarantine)

    def run(self, forks: Forks, strace: list[str] | None = None) -> int:
        return forks.run(self.home.config, factor=FACTOR, strace=strace, patience=PATIENCE)

    def paid(self) -> Counter[tuple[str, str, str]]:
        jobs = self.server.paid["jobs"]
        # A song that was paid for as FLAC and as it is was paid for twice.
        own = {job["sha256"]: _original_of().get(job["sha256"], job["sha256"]) for job in jobs}
        return Counter((own[job["sha256"]], job["stems"], job["format"]) for job in jobs)

    def rows(self) -> list[dict[str, Any]]:
        journal = self.home.state / "journal.sqlite3"
        if not journal.exists():
            return []
        with contextlib.closing(sqlite3.connect(journal)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM jobs")]

    def held(self) -> set[int]:
        """Ids of the jobs that may be paid for or not."""
        return {row["id"] for row in self.rows() if row["code"] == "submission_unconfirmed"}

    def listed(self) -> set[int]:
        """Ids that `stemwatch status --json` lists, each with the command that resolves it."""
        told = self.home.command("status", "--json", "-c", str(self.home.config))
        assert told.returncode == 0, told.stderr
        entries = json.loads(told.stdout)["quarantined"]
        return {
            entry["id"]
            for entry in entries
            if entry["code"] == "submission_unconfirmed"
            and entry["retry"] == f"stemwatch retry {entry['id']}"
            and entry["hint"]
        }


def profile(forks: Forks, root: Path) -> dict[str, int]:
    """The calls that a whole run makes: the largest number of each that one thread makes."""
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        case = Case(root, server)
        log = root / "strace.log"
        code = case.run(forks, ["-o", str(log), "-e", CALLS])
        assert code == 3, f"the run without a fault ended with {code}: see {root}"
    counts: Counter[tuple[str, str]] = Counter()
    with log.open(errors="replace") as lines:
        counts.update(match.groups() for match in map(_LINE.match, lines) if match)  # type: ignore[misc]
    most: dict[str, int] = defaultdict(int)
    for (_, call), number in counts.items():
        if call != "execve":  # not the service: its helper, just before strace lets it go
            most[call] = max(most[call], number)
    return dict(most)


def points(most: dict[str, int], size: int) -> list[Point]:
    """`size` points: each call as often as any other, so that all of a rare one's are among them.

    Where there are fewer than `size`, some come twice: no two runs are interleaved alike.
    """
    first = [call for call in FIRST if call in most]
    order = first + sorted(set(most) - set(first))
    quota: Counter[str] = Counter()
    while (room := size - quota.total()) > 0:
        wanting = [call for call in order if quota[call] < most[call]]
        quota.update((wanting or order)[:room])
    return [
        Point(call, 1 + (2 * at + 1) * most[call] // (2 * quota[call]))
        for call in order
        for at in range(quota[call])
    ]


def strike(forks: Forks, root: Path, point: Point, signal: str, into: Figures) -> None:
    """One point, counted into the figures."""
    inject = f"inject={point.call}:signal=SIG{signal}:when={point.n}"
    trace = ["-o", "/dev/null", "-e", f"trace={point.call}", "-e", inject]
    with ScenarioServer(key=KEY, job_seconds=0.05) as server:
        case = Case(root, server)
        observer = Observer(case.home.outbox, mirrors={"six"})
        faults: list[str] = []
        with observer:
            try:
                first = case.run(forks, trace)
                stopped = "service.stopping" in (root / "service.log").read_text()
                hit = first < 0 or (signal == "TERM" and stopped)
                last = case.run(forks)
            except Stuck as fault:
                hit, last = True, -1
                faults.append(f"stuck: {fault}")
        if hit and signal == "TERM" and case.held():
            faults.append("a stop left songs unconfirmed")
        _judge(case, observer, hit, last, point, faults, into)
    if not faults:
        shutil.rmtree(root)


_counting = threading.Lock()


def _judge(
    case: Case,
    observer: Observer,
    hit: bool,
    last: int,
    point: Point,
    faults: list[str],
    into: Figures,
) -> None:
    home = case.home
    rows, held = case.rows(), case.held()
    charged = {sha256 for sha256, _, _ in case.paid()}
    left_behind = litter(home.inbox, home.archive, home.quarantine, home.outbox)
    left_behind += [path.name for path in home.state.glob("upload-*")]
    unlisted = held - case.listed() if held else set()
    after = case.originals()
    lost = sum((case.before - after).values()) + sum((after - case.before).values())
    twice = sum(number - 1 for number in case.paid().values())
    waiting = home.waiting()
    left = last not in (0, 3) or bool(waiting)
    if lost:
        faults.append(f"{lost} inputs lost or doubled")
    if observer.partial:
        faults.append(f"partial: {sorted(observer.partial)}")
    if twice:
        faults.append(f"paid twice: {case.paid()}")
    if left:
        states = [(row["relpath"], row["state"], row["code"]) for row in rows]
        faults.append(f"exit {last}, in the inbox {waiting}, journal {states}")
    if left_behind:
        faults.append(f"hidden files left behind: {left_behind}")
    if unlisted:
        faults.append(f"not listed by status: {unlisted}")
    whole = {row["sha256"] for row in rows if row["state"] in ("done", "delivered")}
    if not held and len(whole) != PAYABLE:
        faults.append(f"{len(whole)} contents delivered, not {PAYABLE}")
    with _counting:
        into.runs += 1
        into.hit += hit
        into.calls[point.call] += hit
        into.lost += lost
        into.partial += len(observer.partial)
        into.paid_twice += twice
        into.unfinished += left
        into.unconfirmed += len(held)
        into.charged += sum(row["id"] in held and row["sha256"] in charged for row in rows)
        if held:
            into.held[point.call] += 1
        into.unlisted += len(unlisted)
        into.litter.update(re.sub(r"[0-9a-f]{8,}", "*", name) for name in left_behind)
        into.looks += observer.looks
        into.delivered += observer.delivered
        for fault in faults:
            _tell(f"BROKEN {point}: {fault} ({home.root})")
        into.broken += [f"{point}: {fault} ({home.root})" for fault in faults]


def sweep(
    root: Path,
    size: int,
    signal: str = "KILL",
    parallel: int = 2,
    minutes: float = 600.0,
    made: dict[str, int] | None = None,
) -> Figures:
    """All of it, or what `minutes` allow; what broke a promise is left below `root`.

    `made`: an earlier `profile`.
    """
    end = time.monotonic() + minutes * 60.0
    with contextlib.ExitStack() as stack:
        warm = [stack.enter_context(Forks(KEY)) for _ in range(parallel)]
        plan = points(made or profile(warm[0], root / "profile"), size)
        random.Random(len(plan)).shuffle(plan)  # so that what there is time for is even too
        figures = Figures()
        waiting = iter(list(enumerate(plan)))
        taking = threading.Lock()

        def work(forks: Forks) -> None:
            for number, point in _shared(waiting, taking):
                if time.monotonic() > end:
                    return
                strike(forks, root / f"{number:04d}", point, signal, figures)
                if figures.runs % 20 == 0:
                    _tell(f"{figures.runs}/{size}, {figures.hit} hit, {len(figures.broken)} broken")

        with ThreadPoolExecutor(parallel) as pool:
            for done in [pool.submit(work, forks) for forks in warm]:
                done.result()
    return figures


def _shared(
    waiting: Iterator[tuple[int, Point]], taking: threading.Lock
) -> Iterator[tuple[int, Point]]:
    while True:
        with taking:
            item = next(waiting, None)
        if item is None:
            return
        yield item


def _tell(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", "--size", type=int, default=8)
    parser.add_argument("--signal", choices=("KILL", "TERM"), default="KILL")
    parser.add_argument("--parallel", type=int, default=4, help="runs at a time: half is waiting")
    parser.add_argument("--minutes", type=float, default=600.0, help="no more points after these")
    result.add_option(parser)
    options = parser.parse_args()
    if shutil.which("strace") is None:
        sys.stdout.write("strace is not installed\n")
        return 2
    root = Path(tempfile.mkdtemp(prefix="kill-sweep-"))
    figures = sweep(root, options.points, options.signal, options.parallel, options.minutes)
    sys.stdout.write(figures.text(f"SIG{options.signal}") + "\n")
    for line in figures.faults:
        sys.stdout.write(f"BROKEN {line}\n")
    found = figures.result(options.signal)
    if not found.faults:
        shutil.rmtree(root)
    return result.conclude(found, options.json)


if __name__ == "__main__":
    sys.exit(main())
