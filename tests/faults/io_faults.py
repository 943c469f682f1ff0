"""Disks that fill up, fail, turn read-only or refuse, while the service works on them.

    python -m tests.faults.io_faults --size all          (root, strace)
    python -m tests.faults.io_faults --list
    python -m tests.faults.io_faults --only journal-fsync

Two kinds of faults. *Real* ones strike everything in a place: a full tmpfs, a read-only remount, an
ext4 that was shut down (EIO), folders on different disks (EXDEV). *Injected* ones (strace) strike
one system call on one file: each write, fsync, rename, mkdir and open on the way of a song.

Each case: the fault begins, a song is dropped and meets it, a second one is dropped; while it
lasts the service lives and pauses once (or, where an fsync of the journal failed, exits and
recovers at the next start), and where only the first song's files are struck, the second one is
done; after its end, without a restart, both songs are done: whole, in one place, paid for once.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.acceptance.harness import KEY, Home, Service
from tests.acceptance.songs import wav_bytes
from tests.faults import result as common
from tests.faults.disks import Ext4, Tmpfs, why_no_mounts
from tests.faults.looking import PASSING
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

FACTOR = 0.05  # of the service's own waiting times
LIMIT = 60.0  # seconds from the fault's end to the end of all work, unscaled
WORK = 8.0  # seconds that the work itself may take where a processor has three processes to run
RECHECK = 15.0  # Timing.disk_recheck
FIRST, SECOND = "alpha", "beta"
PLACES = ("outbox", "archive", "quarantine", "journal")
ERRORS = ("EIO", "ENOSPC", "EROFS", "EACCES")
_CALLS = {
    "mkdir": "?mkdir,?mkdirat",
    "open": "openat,?open",
    "write": "write,pwrite64,writev",
    "fsync": "fsync,fdatasync",
    "rename": "?rename,?renameat,renameat2",
}


def _work() -> float:
    """WORK, on a machine that is busier than that: as much longer as each waits for its turn."""
    return WORK * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) / 3)


def why_not() -> str | None:
    """Why this machine can't run it; None if it can."""
    if (reason := why_no_mounts("mkfs.ext4", "losetup")) is not None:
        return reason
    return None if shutil.which("strace") else "needs strace"


@dataclass(frozen=True)
class Case:
    """`at` names the file that is struck, of those in `_targets`; real faults strike the place."""

    place: str
    operation: str  # mkdir | open | write | fsync | rename; full | read_only | dead | apart
    error: str
    at: str = ""
    when: str = "1+"  # strace's: which of these calls, counted in each thread
    factor: float = FACTOR

    @property
    def name(self) -> str:
        where = f"({self.at})" if self.at else ""
        when = f"#{self.when}" if self.when != "1+" else ""
        slow = "-unscaled" if self.factor == 1.0 else ""
        return f"{self.place}-{self.operation}{where}{when}-{self.error}{slow}"

    @property
    def real(self) -> bool:
        return self.operation not in _CALLS

    @property
    def of_one_song(self) -> bool:
        """Nothing that the second song needs is struck."""
        return not self.real and self.place != "journal" and self.at != "root"

    @property
    def ends_the_service(self) -> bool:
        return self.place == "journal" and self.operation == "fsync"


@dataclass
class Result:
    """What came of it; `recovery` in seconds from the fault's end (or the next start)."""

    case: Case
    outcome: str = ""
    recovery: float = 0.0
    hits: int = 0  # failed calls
    held: int = 0  # songs held as submission_unconfirmed
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        verdict = "ok" if not self.faults else "; ".join(self.faults)
        return (
            f"{self.case.name:45} {self.outcome:16} {self.recovery:6.1f} s  "
            f"{self.hits:4} hits  {self.held} held  {verdict}"
        )


def _injected() -> Iterator[Case]:
    sites = {
        "outbox": [
            ("mkdir", "parent"), ("fsync", "root"), ("mkdir", "staging"), ("open", "part"),
            ("write", "part"), ("fsync", "part"), ("rename", "part"), ("mkdir", "song"),
            ("fsync", "song"), ("rename", "shown"), ("fsync", "parent"),
        ],
        "archive": [
            ("mkdir", "folder"), ("rename", "target"), ("fsync", "folder"), ("fsync", "source"),
            ("open", "copy"), ("write", "copy"), ("fsync", "copy"), ("rename", "copied"),
        ],
        "quarantine": [
            ("mkdir", "folder"), ("rename", "target"), ("fsync", "folder"),
        ],
    }  # fmt: skip
    for place, operations in sites.items():
        for operation, at in operations:
            for error in ERRORS:
                yield Case(place, operation, error, at)
    yield Case("quarantine", "fsync", "EIO", "folder", "2")  # the one after the move
    for when in ("1+", "3+", "5+", "7+", "9+", "12+", "15+", "18+"):
        for error in ERRORS:
            yield Case("journal", "write", error, "wal", when)
    for nth in range(1, 9):
        yield Case("journal", "fsync", "EIO", "wal", str(nth))


def _real() -> Iterator[Case]:
    for place in PLACES:
        yield Case(place, "full", "ENOSPC")
    for place in PLACES[:3]:
        yield Case(place, "read_only", "EROFS")
        yield Case(place, "dead", "EIO")
        yield Case(place, "apart", "EXDEV")
    yield Case("journal", "full", "ENOSPC", "answered")
    yield Case("journal", "full", "ENOSPC", "unconfirmed")
    yield Case("journal", "full", "ENOSPC", "refused")


def all_cases(*, unscaled: bool) -> list[Case]:
    """The whole table; `unscaled` adds full disks with the service's own waiting times."""
    cases = [*_real(), *_injected()]
    if unscaled:
        cases += [replace(c, factor=1.0) for c in _real() if c.operation == "full" and not c.at]
    return cases


def run(case: Case, folder: Path) -> Result:
    """One case, below `folder`."""
    result = Result(case)
    try:
        with ExitStack() as stack:
            _Scene(case, folder, result, stack).play()
    except (AssertionError, subprocess.TimeoutExpired) as fault:
        result.faults.append(str(fault).split("\n")[0][:200])
    return result


class _Scene:
    """A home, its disks, a server, and one fault."""

    def __init__(self, case: Case, folder: Path, result: Result, stack: ExitStack) -> None:
        self.case, self.result, self._stack = case, result, stack
        self.server = stack.enter_context(ScenarioServer(key=KEY, job_seconds=0.5))
        self.home = Home(folder, self.server.url)
        self.disk: Tmpfs | Ext4 | None = None
        self._mount()
        self._bad = case.place == "quarantine"
        self._prepared = folder / f"{FIRST}.wav"
        self._prepared.write_bytes(b"this is no sound\n" * 99 if self._bad else wav_bytes(1))
        self._contents = {
            FIRST: hashlib.sha256(self._prepared.read_bytes()).hexdigest(),
            SECOND: hashlib.sha256(wav_bytes(2)).hexdigest(),
        }
        self._strace: subprocess.Popen[bytes] | None = None
        self._trace = folder / "strace.txt"
        self.service = self._start()

    def _mount(self) -> None:
        case, home = self.case, self.home
        path = home.state if case.place == "journal" else getattr(home, case.place)
        if case.operation == "dead":
            self.disk = Ext4(path)
        elif case.operation == "apart" and case.place == "outbox":
            self.disk = Tmpfs(path / "sub")  # a subfolder that is a disk of its own
        elif case.real or case.at in ("copy", "copied"):
            self.disk = Tmpfs(path, 24)
        if self.disk is not None:
            self._stack.enter_context(self.disk)

    def _start(self) -> Service:
        service = self._stack.enter_context(self.home.scaled_service(self.case.factor))
        self._stack.callback(self._let_go, service)
        return service

    def _let_go(self, service: Service) -> None:
        """At the end, whatever happened: nothing may stay traced or running."""
        self._end_strace()
        if service.process.poll() is None:
            service.signal(signal.SIGTERM)
            try:
                service.process.wait(20)
            except subprocess.TimeoutExpired:
                service.kill()
                self._say(False, "it did not end after SIGTERM")

    # -- the course of events --------------------------------------------------------------

    def play(self) -> None:
        if self.case.at in ("unconfirmed", "refused"):
            self._script()
        early = not self.case.real or (self.case.place == "journal" and not self.case.at)
        if early:
            self._begin()
        self._drop_first()
        if not early:
            self._meanwhile()
            self._begin()
        met = self._await_the_fault()
        posts = self._submitted()
        if not (self.case.ends_the_service and self.service.process.poll() is not None):
            self._drop(SECOND, wav_bytes(2))
            if met:
                self._last()
        if (self.case.real or self.case.place == "journal") and met:
            more = self._submitted() - posts
            self._say(more == 0, f"{more} submitted while results had nowhere to go")
        self._end()
        self._recover()
        self._judge()

    def _submitted(self) -> int:
        """Submissions that were sent to their last byte: without it nothing can be charged."""
        return sum("sha256" in entry for entry in self.server.requests("post"))

    def _script(self) -> None:
        refused: dict[str, Any] = {"status": 422, "body": {"error": "no"}, "delay": 1.5}
        unconfirmed = {"accept": True, "delay": 1.5, "reset": "answer"}
        self.server.scenario(post=[refused if self.case.at == "refused" else unconfirmed])

    def _meanwhile(self) -> None:
        """Until the moment at which a real fault is worst: paid for, not yet delivered."""
        if self.case.place in ("outbox", "archive", "journal"):
            if self.case.at == "answered":
                self.server.scenario(post=[{"delay": 1.5}])
            wait_for(lambda: [e for e in self.server.requests("post") if "sha256" in e])

    def _drop_first(self) -> None:
        if self.case.at == "answered":
            self.server.scenario(post=[{"delay": 1.5}])
        target = self.home.inbox / "sub" / self._prepared.name
        target.parent.mkdir()
        self._prepared.rename(target)

    def _drop(self, name: str, data: bytes) -> None:
        part = self.home.root / f"{name}.tmp"
        part.write_bytes(data)
        part.rename(self.home.inbox / f"{name}.wav")

    def _await_the_fault(self) -> bool:
        """True once the service has met it: paused, or ended; False where it had no need to."""

        def met() -> str | None:
            if self.service.process.poll() is not None:
                return "exited"
            paused = [e["reason"] for e in self.service.events("service.paused")]
            if paused:
                return f"paused {paused[-1]}"
            for told in ("kept", "unfiled"):
                if self.service.events(f"job.{told}"):
                    return told
            known = not self.case.ends_the_service or self.home.journal_count("done")
            return "unaffected" if known and self._ended(FIRST) else None

        self.result.outcome = wait_for(met, timeout=90, what="the fault to be met") or ""
        return self.result.outcome.startswith("paused")

    def _last(self) -> None:
        """Let it last for three looks at the disk: that shows what is repeated, and what not."""
        before = time.monotonic()
        cpu = _cpu_seconds(self.service.process.pid)
        lasting = 3 * RECHECK * self.case.factor
        while time.monotonic() < before + lasting:
            if self.service.process.poll() is not None:
                return
            time.sleep(0.05)
        burnt = _cpu_seconds(self.service.process.pid) - cpu
        self._say(burnt < 0.5 * lasting, f"{burnt:.1f} s of CPU in {lasting:.1f} s of waiting")
        if self.case.of_one_song:
            done = self._ended_within(SECOND, _work())
            self._say(done, f"one song's trouble held the other one: {self._counts()}")
        if self.case.place != "journal":
            paused = len(self.service.events("service.paused"))
            self._say(paused == 1, f"paused {paused} times")

    def _recover(self) -> None:
        since = time.monotonic()
        ended = self.service.process.poll()
        if self.case.ends_the_service and ended is not None:
            self._say(ended not in (None, 0), f"exit code {ended}")
            self.result.outcome = f"exited {ended}"
            self.service = self._start()
            if not (self.home.inbox / f"{SECOND}.wav").exists():
                self._drop(SECOND, wav_bytes(2))
            since = time.monotonic()
        elif ended is not None:
            raise AssertionError(f"the service ended with {ended}: {_last_error(self.service)}")
        limit = LIMIT * self.case.factor + _work()
        wait_for(
            lambda: self._ended(FIRST) and self._ended(SECOND) and self._settled(),
            timeout=limit,
            every=0.05,
            what=f"all work done after the fault: {self._counts()}",
        )
        self.result.recovery = time.monotonic() - since

    # -- the fault -------------------------------------------------------------------------

    def _begin(self) -> None:
        match self.case.operation:
            case "full":
                assert isinstance(self.disk, Tmpfs)
                self.disk.fill()
            case "read_only":
                assert self.disk is not None
                self.disk.read_only(True)
            case "dead":
                assert isinstance(self.disk, Ext4)
                self.disk.shut_down()
            case "apart":
                pass
            case _:
                self._attach()

    def _end(self) -> None:
        match self.case.operation:
            case "full":
                assert isinstance(self.disk, Tmpfs)
                self.disk.free()
            case "read_only":
                assert self.disk is not None
                self.disk.read_only(False)
            case "dead":
                assert self.disk is not None
                # Stopped meanwhile: what is filed below a mount point is hidden by its mount.
                self.service.signal(signal.SIGSTOP)
                self.disk.umount()
                self.disk.mount()
                self.service.signal(signal.SIGCONT)
            case "apart":
                pass
            case _:
                self._end_strace()
                self.result.hits = self._trace.read_text(errors="replace").count("(INJECTED)")
        if not self.case.real and self.result.outcome != "unaffected":
            self._say(self.result.hits > 0, "nothing was struck")

    def _attach(self) -> None:
        calls = _CALLS[self.case.operation]
        target = self._targets()[self.case.at]
        command = ["strace", "-f", "-qq", "-p", str(self.service.process.pid)]
        command += ["-o", str(self._trace), "-P", str(target), "-e", f"trace={calls}"]
        command += ["-e", f"inject={calls}:error={self.case.error}:when={self.case.when}"]
        self._strace = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        pid = self.service.process.pid
        wait_for(lambda: self._strace is None or _all_traced(pid), what="strace to attach")
        assert self._strace.poll() is None, "strace ended"

    def _end_strace(self) -> None:
        if self._strace is not None:
            self._strace.send_signal(signal.SIGTERM)  # it lets go of the service, and ends
            try:
                self._strace.wait(5)
            except subprocess.TimeoutExpired:  # in the midst of a vfork it never would
                self._strace.kill()
                self._strace.wait()
            self._strace = None

    def _targets(self) -> dict[str, Path]:
        home, song = self.home, self._prepared.name
        # What the service will call them: the first job, and the first id of the scenario server.
        token = f"1-{hashlib.sha256(b'job_000001').hexdigest()[:12]}"
        staging = home.outbox / ".stemwatch" / token
        look = self._prepared.stat()
        copy = f".stemwatch-{look.st_ino:x}-{look.st_mtime_ns:x}.part"
        match self.case.place:
            case "outbox":
                return {
                    "root": home.outbox,
                    "parent": home.outbox / "sub",
                    "staging": staging,
                    "part": staging / "vocals.wav.part",
                    "song": staging / "song",
                    "shown": home.outbox / "sub" / FIRST,
                }
            case "journal":
                return {"wal": home.state / "journal.sqlite3-wal"}
            case place:
                folder = getattr(home, place) / "sub"
                return {
                    "folder": folder,
                    "target": folder / song,
                    "copied": folder / song,
                    "copy": folder / copy,
                    "source": home.inbox / "sub",
                }

    # -- what must be true -----------------------------------------------------------------

    def _say(self, true: bool, otherwise: str) -> None:
        if not true:
            self.result.faults.append(otherwise)

    def _counts(self) -> dict[str, int]:
        states = ("queued", "submitting", "separating", "separated", "delivered", "done")
        counts = {s: self.home.journal_count(s) for s in (*states, "quarantined")}
        return {state: count for state, count in counts.items() if count}

    def _ended(self, name: str) -> bool:
        """Delivered and filed, quarantined with its reason, or (told so) kept in the inbox."""
        path = f"sub/{FIRST}.wav" if name == FIRST else f"{name}.wav"
        if (self.home.quarantine / f"{path}").is_file():
            return True
        if f"{name}.wav" in [e["name"] for e in self.service.events("job.kept")]:
            return (self.home.inbox / path).is_file()
        if not any(s["source"]["relpath"] == path for s in self._sidecars().values()):
            return False
        told = [e["name"] for e in self.service.events("job.done")]
        return (self.home.archive / path).is_file() or f"{name}.wav" in told

    def _settled(self) -> bool:
        """Nothing is under way: a copy to another disk is shown before its original is removed."""
        under_way = "SELECT count(*) FROM jobs WHERE filed_to IS NULL AND state NOT IN (?, ?)"
        return self.home.rows(under_way, "done", "gone") == [(0,)]

    def _ended_within(self, name: str, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while not (ended := self._ended(name)) and time.monotonic() < until:
            time.sleep(0.05)
        return ended

    def _sidecars(self) -> dict[str, dict[str, Any]]:
        with contextlib.suppress(OSError):
            return self.home.sidecars()
        return {}  # its disk is away

    def _judge(self) -> None:
        self._end_strace()
        self._judge_results()
        self._judge_songs()
        for sha256, times in self.server.paid["by_sha256"].items():
            self._say(times == 1, f"{sha256[:8]} was paid for {times} times")

    def _judge_results(self) -> None:
        reasons = self.home.reasons()
        allowed = {"submission_unconfirmed"} if self.case.place == "journal" else set()
        for name, reason in reasons.items():
            code = reason["code"]
            if code == "submission_unconfirmed":
                self.result.held += 1
            expected = self._bad and name == f"sub/{FIRST}.wav"
            refused = self.case.at == "refused" and reason["http_status"] == 422
            fine = expected or refused or code in allowed
            self._say(fine, f"{name} was quarantined as {code}: {reason['message'][:90]}")
        if self._bad and self.result.outcome != "kept":
            self._say(f"sub/{FIRST}.wav" in reasons, "there is no reason file")
        names = Counter(s["source"]["relpath"] for s in self.home.sidecars().values())
        for path in (f"sub/{FIRST}.wav", f"{SECOND}.wav"):
            wanted = 0 if path in reasons or (self._bad and FIRST in path) else 1
            self._say(names[path] == wanted, f"{path} was delivered {names[path]} times")
        for folder, sidecar in self.home.sidecars().items():
            for stem in sidecar["stems"]:
                data = (self.home.outbox / folder / stem["file"]).read_bytes()
                sound = hashlib.sha256(data).hexdigest() == stem["sha256"]
                self._say(sound, f"{stem['file']} is not what its sidecar says")
        hidden = self.home.outbox / ".stemwatch"
        left = sorted(os.listdir(hidden)) if hidden.is_dir() else []
        self._say(not left, f"left in the outbox's hidden folder: {left}")

    def _judge_songs(self) -> None:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for root in (self.home.inbox, self.home.archive, self.home.quarantine):
            for path in root.rglob("*"):
                # The service may be trying whether the disk is well at this very moment.
                passing = PASSING.match(path.name)
                if path.is_file() and not passing and not path.name.endswith(".reason.json"):
                    where = str(path.relative_to(self.home.root))
                    found[hashlib.sha256(path.read_bytes()).hexdigest()].append(where)
        for name, sha256 in self._contents.items():
            self._say(len(found[sha256]) == 1, f"{name} is not in one place: {found[sha256]}")
        strange = found.keys() - set(self._contents.values())
        self._say(not strange, f"{len(strange)} files of unknown content")


def _all_traced(pid: int) -> bool:
    """Whether strace has every thread of the process."""
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            if "TracerPid:\t0\n" in status.read_text():
                return False
    return True


def _cpu_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _last_error(service: Service) -> str:
    lines = [line for line in service.text().splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def _in_a_folder(case: Case) -> Result:
    with tempfile.TemporaryDirectory(prefix="io-faults-") as folder:
        return run(case, Path(folder))


def _found(results: Sequence[Result]) -> common.Result:
    """Of all cases together."""
    scaled = [r.recovery for r in results if r.case.factor != 1.0]
    slow = [r.recovery for r in results if r.case.factor == 1.0]
    attack = (
        f"{len(results)} cases: full, read-only, dying and separate disks; EIO, ENOSPC, EROFS, "
        "EACCES at each mkdir, open, write, fsync and rename in outbox, archive, quarantine and "
        "journal"
    )
    found = (
        f"{sum(bool(r.faults) for r in results)} in which something was submitted meanwhile, lost, "
        "paid twice, held up or late; back after "
        f"{max(scaled, default=0.0):.1f} s at most with waiting times at {FACTOR:g} of the real "
        f"ones, {max(slow, default=0.0):.1f} s at the real ones; an fsync that failed on the "
        "journal ends the service, and the next start goes on"
    )
    faults = [f"{r.case.name}: {'; '.join(r.faults)}" for r in results if r.faults]
    return common.Result("a sick disk costs time only", attack, found, faults)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", default="all", help="how many cases, spread evenly, or all")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=6, help="cases at a time: most is waiting")
    common.add_option(parser)
    options = parser.parse_args()
    cases = [c for c in all_cases(unscaled=True) if options.only in c.name]
    if options.size != "all":
        step = max(1, len(cases) // int(options.size))
        cases = cases[::step][: int(options.size)]
    if options.list:
        print(*(case.name for case in cases), sep="\n")
        return 0
    if (reason := why_not()) is not None:
        print(f"skipped: {reason}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmounts on its way out
    started, results = time.monotonic(), []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(_in_a_folder, cases):
            results.append(result)
            print(result, flush=True)
    bad = [result for result in results if result.faults]
    scaled = [r.recovery for r in results if r.case.factor != 1.0]
    slow = [r.recovery for r in results if r.case.factor == 1.0]
    print(
        f"{len(results)} cases, {len(bad)} with faults; longest recovery "
        f"{max(scaled, default=0):.1f} s with waiting times at {FACTOR:g} of the real ones, "
        f"{max(slow, default=0):.1f} s at the real ones; {time.monotonic() - started:.0f} s"
    )
    return common.conclude(_found(results), options.json)


if __name__ == "__main__":
    raise SystemExit(main())
