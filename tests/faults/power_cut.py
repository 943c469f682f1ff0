"""Power cuts: the service's whole home on an ext4 whose power is cut at random moments.

    python -m tests.faults.power_cut --size 104        (root)

After every cut, on the disk as it came back: every file that a visible sidecar names is what it
says; every song is in exactly one place; every remote id that the service had acted upon, and
every end that it had reported, is in the journal; nothing was paid for twice. The service then
goes on with the same disk, into the next cut; each life of a disk ends with all work done.

The processor stops before the disk does. Where it went on, the kernel told 2 of 150 fdatasyncs that
their data was on the disk after it was off, and a song was submitted on the strength of that.

`--careless` runs a service whose files are not flushed, and cuts when songs have just been
delivered: that many faults the cuts can show.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.harness import KEY, SCALED, Home, Service
from tests.acceptance.songs import wav_bytes
from tests.faults import result
from tests.faults.disks import Ext4, why_no_mounts
from tests.faults.looking import PASSING
from tests.faults.result import Result
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

CUTS_A_LIFE = 8  # then all work is done and a fresh disk begins
SONGS_A_CUT = 3
LONGEST = 30.0  # seconds from the service's start to the cut, however busy the machine
_JOURNAL = "journal.sqlite3"
_CARELESS = (
    "import os; os.fsync = lambda fd: None;"
    "from tests.acceptance.scaled import main; raise SystemExit(main())"
)


def why_not() -> str | None:
    """Why this machine can't run it; None if it can."""
    return why_no_mounts("mkfs.ext4", "losetup")


@dataclass
class Figures:
    """What was found. The words of `faults` say where a promise was broken."""

    cuts: int = 0
    songs: int = 0
    sidecars_checked: int = 0
    files_checked: int = 0
    ids_checked: int = 0
    ends_checked: int = 0
    held: int = 0  # submission_unconfirmed
    states: Counter[str] = field(default_factory=Counter)  # of the journal, at the cuts
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        states = ", ".join(f"{state} {count}" for state, count in self.states.most_common())
        return (
            f"{self.cuts} power cuts, {self.songs} songs: {self.sidecars_checked} sidecars with "
            f"{self.files_checked} files hashed, {self.ids_checked} remote ids and "
            f"{self.ends_checked} reported ends looked for in the journal; "
            f"{self.held} songs held as submission_unconfirmed; {len(self.faults)} faults.\n"
            f"jobs at the cuts: {states}"
        )

    @property
    def result(self) -> Result:
        attack = (
            f"{self.cuts} power cuts of a loop-mounted ext4 (its shutdown ioctl, nothing flushed), "
            "each time under another device number"
        )
        found = (
            f"{self.sidecars_checked:,} sidecars with {self.files_checked:,} files hashed, "
            f"{self.ids_checked:,} remote ids and {self.ends_checked:,} reported ends looked for: "
            f"{len(self.faults)} damaged, lost or paid twice; {self.held} of {self.songs} songs "
            "for their owner to confirm"
        )
        return Result("what is told is on the disk", attack, found, self.faults)


def sweep(
    cuts: int, folder: Path, seed: int, *, progress: Path | None = None, careless: bool = False
) -> Figures:
    """Cut `cuts` times; `folder` is where images and mounts are made."""
    figures = Figures()
    rng = random.Random(seed)
    life = 0
    while figures.cuts < cuts:
        life += 1
        root = folder / f"life-{life}"
        root.mkdir()
        with Ext4(root / "disk", 128) as disk, ScenarioServer(key=KEY, job_seconds=0.3) as server:
            assert isinstance(disk, Ext4)
            stems = 2 if life % 2 else 6
            one = _Life(root, disk, server, rng, figures, stems=stems, careless=careless)
            one.live(min(CUTS_A_LIFE, cuts - figures.cuts))
        shutil.rmtree(root)
        if progress is not None:
            progress.write_text(f"{figures}\n" + "\n".join(figures.faults))
    return figures


class _Life:
    """One disk, from mkfs to the end of all work."""

    def __init__(
        self,
        root: Path,
        disk: Ext4,
        server: ScenarioServer,
        rng: random.Random,
        figures: Figures,
        *,
        stems: int,
        careless: bool,
    ) -> None:
        self._careless = careless
        self._command = [sys.executable, "-c", _CARELESS] if careless else SCALED
        self.disk, self.server, self.rng, self.figures = disk, server, rng, figures
        self.stems = stems
        folders = {n: str(disk.path / n) for n in ("inbox", "outbox", "quarantine", "archive")}
        # The configuration and the log stay off the disk: they are the witnesses.
        sections: dict[str, Any] = {
            "folders": folders,
            "state_dir": str(disk.path / "state"),
            "separation": {"stems": stems},
        }
        self.home = Home(root, server.url, **sections)
        for name, path in folders.items():
            setattr(self.home, name, Path(path))
        self.home.state = disk.path / "state"
        self.home.inbox.mkdir()
        _flush(disk.path)
        self.songs: dict[str, str] = {}  # sha256 -> name

    def live(self, cuts: int) -> None:
        for _ in range(cuts):
            self._drop()
            told = self._run_into_a_cut()
            self.figures.cuts += 1
            self._look(told)
        self._finish()
        self._judge_end()

    def _fault(self, what: str) -> None:
        self.figures.faults.append(f"cut {self.figures.cuts}: {what}")

    def _drop(self) -> None:
        """A user's files, flushed by whoever copied them."""
        for _ in range(SONGS_A_CUT):
            self.figures.songs += 1
            number = self.figures.songs
            data = wav_bytes(number)
            path = self.home.inbox / f"song {number}.wav"
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            self.songs[hashlib.sha256(data).hexdigest()] = path.name
        _flush(self.home.inbox)

    def _service(self) -> Service:
        return Service(self.home, [*self._command, "0.05", str(self.home.config)], KEY)

    def _run_into_a_cut(self) -> list[dict[str, Any]]:
        """Start the service and cut the power; returns what its log had told."""
        service = self._service()
        self._await_a_moment(service)
        _freeze(service)
        self.disk.cut(service.kill)
        service._log.close()
        return service.events()

    def _await_a_moment(self, service: Service) -> None:
        """Somewhere in the work: after so many requests and log events, and a little later."""
        if self._careless:  # when a song's folder has just become visible: what shows the most
            service.wait_for_event("job.done")
            return
        before = len(self.server.log)
        steps = self.rng.randrange(SONGS_A_CUT * (15 if self.stems == 6 else 10))
        deadline = time.monotonic() + LONGEST
        while len(self.server.log) - before + len(service.events()) < steps:
            if time.monotonic() > deadline:
                break
            time.sleep(0.002)
        time.sleep(self.rng.uniform(0.0, 0.1))  # the random moment itself: nothing to wait for

    def _finish(self) -> None:
        with self._service() as service:

            def finished() -> bool:
                assert service.process.poll() is None, service.text()
                ended = sum(self.home.journal_count(s) for s in ("done", "quarantined"))
                return not self.home.waiting() and ended >= len(self.songs)

            try:
                wait_for(finished, timeout=60, every=0.1, what="the end of all work")
            except AssertionError:
                self._fault(f"no end: inbox {self.home.waiting()}, {self._rows()}")

    # -- what must be true after every cut -------------------------------------------------

    def _look(self, told: list[dict[str, Any]]) -> None:
        self._check_outbox()
        self._check_songs()
        self._check_journal(told)
        for sha256, times in self.server.paid["by_sha256"].items():
            if times > 1:
                name = self.songs[sha256]
                self._fault(f"{name} was paid for {times} times: {self._story(sha256, name)}")

    def _story(self, sha256: str, name: str) -> str:
        """How it came to that: the jobs of the server, and what the journal remembers."""
        paid = [job for job in self.server.paid["jobs"] if job["sha256"] == sha256]
        keys = [(job["id"], str(job["idempotency_key"])[:6]) for job in paid]
        with closing(sqlite3.connect(self.home.state / _JOURNAL)) as db:
            sql = (
                "SELECT j.id, h.state, h.note, j.identity FROM jobs j"
                " JOIN history h ON h.job_id = j.id WHERE j.relpath = ? ORDER BY h.rowid"
            )
            told = [tuple(row) for row in db.execute(sql, (os.fsencode(name),))]
        return f"{keys}, {told}"

    def _check_outbox(self) -> None:
        """Every visible folder is whole: a sidecar, and the very files that it names."""
        for folder in _visible_folders(self.home.outbox):
            names = {entry.name for entry in folder.iterdir() if entry.is_file()}
            sidecars = [name for name in names if name.endswith(".stemwatch.json")]
            if len(sidecars) != 1:
                self._fault(f"{folder.name} is visible with {len(sidecars)} sidecars")
                continue
            try:
                sidecar = json.loads((folder / sidecars[0]).read_bytes())
            except ValueError as fault:
                self._fault(f"the sidecar of {folder.name} is no JSON: {fault}")
                continue
            self.figures.sidecars_checked += 1
            for stem in sidecar["stems"]:
                self.figures.files_checked += 1
                path = folder / stem["file"]
                data = path.read_bytes() if path.is_file() else b""
                if (hashlib.sha256(data).hexdigest(), len(data)) != (stem["sha256"], stem["bytes"]):
                    self._fault(f"{path} has {len(data)} of {stem['bytes']} bytes, or others")

    def _check_songs(self) -> None:
        """Each song is in the inbox, the archive or the quarantine: once, and whole."""
        found: dict[str, list[Path]] = defaultdict(list)
        for root in (self.home.inbox, self.home.archive, self.home.quarantine):
            for path in _files(root):
                if not path.name.endswith(".reason.json") and not PASSING.match(path.name):
                    found[hashlib.sha256(path.read_bytes()).hexdigest()].append(path)
        for sha256, name in self.songs.items():
            if len(found[sha256]) != 1:
                self._fault(f"{name} is in {len(found[sha256])} places")
        for sha256 in found.keys() - self.songs.keys():
            self._fault(f"unknown content appeared: {[str(path) for path in found[sha256]]}")

    def _check_journal(self, told: list[dict[str, Any]]) -> None:
        """What the service had acted upon, or told, was on the disk before."""
        rows = self._rows()
        ids = {row["remote_id"] for row in rows}
        # The remote id is committed before the first poll: who polled had committed.
        polled = {str(e["path"]).rsplit("/", 1)[-1] for e in self.server.requests("get")}
        self.figures.ids_checked += len(polled)
        for lost in sorted(polled - ids):
            self._fault(f"the remote id {lost} is lost")
        states = {row["name"]: row["state"] for row in rows}
        expected = {
            "job.delivered": {"delivered", "done"},
            "job.done": {"done"},
            "job.quarantined": {"quarantined"},
        }
        for event in told:
            allowed = expected.get(event["event"])
            if allowed is None:
                continue
            self.figures.ends_checked += 1
            if states.get(event["name"]) not in allowed:
                self._fault(
                    f"{event['name']} was told {event['event']}, is {states.get(event['name'])}"
                )
            folder = event.get("folder")
            if folder is not None and not Path(folder).is_dir():
                self._fault(f"{folder} was told as delivered and is not there")
        self.figures.states.update(states.values())

    def _rows(self) -> list[dict[str, Any]]:
        """The journal's rows, read from a copy: looking must not mend anything."""
        journal = self.home.state / _JOURNAL
        if not journal.exists():
            return []
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ("", "-wal"):
                if os.path.exists(f"{journal}{suffix}"):
                    shutil.copy(f"{journal}{suffix}", os.path.join(folder, _JOURNAL + suffix))
            with closing(sqlite3.connect(os.path.join(folder, _JOURNAL))) as db:
                if (sound := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                    self._fault(f"the journal is damaged: {sound}")
                if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    return []  # cut off while it was made
                found = db.execute("SELECT relpath, state, remote_id FROM jobs").fetchall()
        return [
            {"name": os.fsdecode(path).rsplit("/", 1)[-1], "state": state, "remote_id": remote_id}
            for path, state, remote_id in found
        ]

    def _judge_end(self) -> None:
        """Every song is delivered, or held for the one reason that is allowed."""
        self._look([])
        try:
            sidecars = self.home.sidecars()
        except ValueError:
            return  # one is empty: `_check_outbox` has told it
        delivered = Counter(s["source"]["sha256"] for s in sidecars.values())
        reasons = self.home.reasons()
        self.figures.held += len(reasons)
        for name, reason in reasons.items():
            if reason["code"] != "submission_unconfirmed":
                self._fault(f"{name} was quarantined as {reason['code']}: {reason['message']}")
        for sha256, name in self.songs.items():
            if delivered[sha256] != (0 if name in reasons else 1):
                self._fault(f"{name} was delivered {delivered[sha256]} times")


def _files(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield Path(folder) / name


def _freeze(service: Service) -> None:
    """Not another instruction of it: what it was told before, it was told by a working disk."""
    service.signal(signal.SIGSTOP)
    stat = Path(f"/proc/{service.process.pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] in "TZ", every=0.001)


def _visible_folders(outbox: Path) -> Iterator[Path]:
    if not outbox.exists():
        return
    for path in sorted(outbox.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield path


def _flush(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=int, default=104, help="power cuts (default 104)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--careless", action="store_true", help="to see that cuts show faults")
    parser.add_argument("--progress", type=Path, help="a file that holds the figures so far")
    result.add_option(parser)
    options = parser.parse_args()
    if (reason := why_not()) is not None:
        print(f"skipped: {reason}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmounts on its way out
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="power-cut-") as folder:
        figures = sweep(
            options.size,
            Path(folder),
            options.seed,
            progress=options.progress,
            careless=options.careless,
        )
    print(figures)
    print(*figures.faults, sep="\n")
    print(f"{time.monotonic() - started:.0f} s, seed {options.seed}")
    return result.conclude(figures.result, options.json)


if __name__ == "__main__":
    raise SystemExit(main())
