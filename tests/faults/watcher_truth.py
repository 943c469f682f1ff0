"""Watcher truth: whatever is done to the inbox or its watcher, each file is journaled once.

    python -m tests.faults.watcher_truth --size 20000
    python -m tests.faults.watcher_truth --size 20000 --only stopped

The real service, with nothing it may pay for, so that only the intake is at work:

    stopped     files dropped while the process is stopped, until inotify's queue overflows
    remounted   the inbox's disk unmounted while files are taken in, and mounted again (root)
    remade      the inbox deleted, and made again
    deaf        every thread of the observer dies
    moved       a tree of folders moved in

Prints for each: files, seconds and rescan periods from the moment at which all files are there (and
the watcher could know) until all are journaled, how many whole scans that took, and the memory.
Exits 1 if a file was journaled twice or never, was noticed after more than two rescans, took more
scans than there are reasons for one, or anything was acted upon while its disk was away. The
periods count where the watcher matters (`deaf`, `remounted`, `remade`: nobody can be quicker than
the next rescan); taking in tens of thousands of files takes as long as probing them does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.harness import KEY, Home, Service
from tests.acceptance.songs import wav_bytes
from tests.faults import result
from tests.faults.disks import Ext4, why_no_mounts
from tests.faults.result import Result, several
from tests.support.waiting import wait_for

NOWHERE = "http://127.0.0.1:9/v1"  # never called: the budget lets nothing through
LEAST = 0.01  # minutes a day: the smallest budget, and every song is longer
SECONDS = 1.0  # of each song, the least that is taken, at the lowest rate: 8 kB
A_FOLDER = 500  # songs
MOST_SCANS = 2
SLACK = 5.0  # seconds from a settled file to its row, on a busy machine
_QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
_RUNNER = [sys.executable, "-m", "tests.faults.deafened"]


@dataclass
class Figures:
    """One story's outcome; `faults` says in words where a promise was broken."""

    name: str
    rescan_seconds: float
    files: int = 0
    seconds: float = 0.0
    scans: int = 0  # whole ones, from the fault's end until all was journaled
    noticed: float | None = None  # rescan periods until the first of these files was journaled
    rss_before: float = 0.0  # MB
    rss_peak: float = 0.0
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rate = self.files / self.seconds if self.seconds else 0.0
        noticed = "" if self.noticed is None else f", the first after {self.noticed:.2f} periods"
        text = (
            f"{self.name}: {self.files:,} files in {self.seconds:.1f} s ({rate:.0f} a second), "
            f"{self.scans} whole scans, "
            f"{self.seconds / self.rescan_seconds:.2f} periods of {self.rescan_seconds:g} s"
            f"{noticed}; "
            f"{self.rss_before:.0f} MB before, {self.rss_peak:.0f} MB at most; "
            f"{len(self.faults)} faults"
        )
        return "\n    ".join([text, *self.notes, *self.faults])


def song(number: int) -> bytes:
    return wav_bytes(number, seconds=SECONDS, rate=4000)


class Watched:
    """A service with an inbox, its journal, and the numbers of its process."""

    def __init__(self, root: Path, rescan_seconds: float, settle: float) -> None:
        self.home = Home(
            root,
            NOWHERE,
            budget={"minutes_per_day": LEAST},
            watch={"settle_seconds": settle, "rescan_seconds": rescan_seconds},
            log={"level": "warning", "format": "json"},
        )
        self.rescan_seconds = rescan_seconds
        self.settle = settle
        self.songs = 0
        self._dropped: set[str] = set()
        self._service: Service | None = None

    @contextmanager
    def running(self) -> Iterator[Watched]:
        """It has journaled one song: from then on its helper, which is slow to start, is there."""
        self.write(1, self.home.inbox)
        service = Service(self.home, [*_RUNNER, str(self.home.config)], KEY)
        try:
            self._service = service
            status = self.home.state / "status.json"

            def ready() -> bool:
                self.alive()
                return status.exists() and self.scans() > 0 and self.journaled() == 1

            wait_for(ready, timeout=60, what="the first scan, and its song's row")
            yield self
        finally:
            if service.process.poll() is None:
                service.process.send_signal(signal.SIGCONT)
            service.__exit__(*sys.exc_info())

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._service is not None
        return self._service.process

    def alive(self) -> None:
        assert self._service is not None
        assert self.process.poll() is None, f"the service ended:\n{self._service.text()[-4000:]}"

    # -- files -----------------------------------------------------------------------------

    def write(self, count: int, folder: Path, *, below: str = "") -> None:
        """Write `count` songs of different contents, in folders; `below` is their place later."""
        for start in range(0, count, A_FOLDER):
            part = f"{below}{self.songs // A_FOLDER:04d}"
            place = folder / f"{self.songs // A_FOLDER:04d}"
            place.mkdir(parents=True, exist_ok=True)
            for _ in range(start, min(start + A_FOLDER, count)):
                name = f"song {self.songs:06d}.wav"
                (place / name).write_bytes(song(self.songs))
                self._dropped.add(f"{part}/{name}")
                self.songs += 1
            self.songs += -self.songs % A_FOLDER

    @property
    def dropped(self) -> int:
        return len(self._dropped)

    # -- what the service knows ------------------------------------------------------------

    def journaled(self) -> int:
        return int(self.home.rows("SELECT count(*) FROM jobs")[0][0])

    def wrong(self) -> list[str]:
        """What was journaled twice, never, or as anything but `queued`."""
        rows = self.home.rows("SELECT relpath, state FROM jobs")
        times = Counter(os.fsdecode(path) for path, _ in rows)
        states = Counter(state for _, state in rows)
        found = []
        if twice := [path for path, count in times.items() if count > 1]:
            found.append(f"{len(twice)} journaled more than once, such as {twice[0]}")
        if never := self._dropped - times.keys():
            found.append(f"{len(never)} never journaled, such as {min(never)}")
        if strange := times.keys() - self._dropped:
            found.append(f"{len(strange)} that were never there, such as {min(strange)}")
        if set(states) - {"queued"}:
            found.append(f"acted upon: {dict(states)}")
        return found

    def status(self) -> dict[str, Any]:
        return self.home.status()

    def scans(self) -> int:
        return int(self.status()["watcher"]["scans"])

    def paused(self) -> bool:
        return any(pause["code"] == "inbox" for pause in self.status()["pauses"])

    def megabytes(self, what: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(what))
        return int(line.split()[1]) / 1024

    def journals_all(
        self, figures: Figures, before: int, scans: int, *, reasons: int = MOST_SCANS
    ) -> None:
        """Wait until everything dropped is in the journal, and judge. The clock starts here.

        `reasons`: for so many whole scans, beside one a period.
        """
        started = time.monotonic()
        total = self.dropped
        limit = 120 + (total - before) / 10

        def all_there() -> bool:
            self.alive()
            count = self.journaled()
            if figures.noticed is None and count > before:
                figures.noticed = (time.monotonic() - started) / self.rescan_seconds
            return count >= total

        try:
            wait_for(all_there, timeout=limit, every=0.1)
        except AssertionError:
            figures.faults.append(f"only {self.journaled():,} of {total:,} after {limit:.0f} s")
        figures.files = total - before
        figures.seconds = time.monotonic() - started
        figures.scans = self.scans() - scans
        figures.rss_peak = self.megabytes("VmHWM")
        if figures.scans > reasons + (figures.seconds // self.rescan_seconds):
            figures.faults.append(f"it took {figures.scans} whole scans")
        latest = MOST_SCANS + (self.settle + SLACK) / self.rescan_seconds
        if figures.noticed is None or figures.noticed > latest:
            figures.faults.append(f"noticed only after {figures.noticed or 0:.1f} rescan periods")
        figures.faults += self.wrong()


Story = Callable[[Path, Watched, int, Figures], None]


def stopped(_: Path, watched: Watched, size: int, figures: Figures) -> None:
    """Dropped while the process is stopped: the kernel's queue overflows, most events are lost."""
    with watched.running():
        figures.rss_before = watched.megabytes("VmRSS")
        watched.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{watched.process.pid}/stat")
        wait_for(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", what="it stopped")
        watched.write(size, watched.home.inbox)
        limit = int(_QUEUE.read_text())
        junk = watched.home.inbox / ".junk"
        for _ in range(max(0, limit - size) // 2 + 1000):  # made and removed: two events at least
            junk.touch()
            junk.unlink()
        figures.notes.append(f"more events than the {limit:,} that inotify keeps")
        scans = watched.scans()
        watched.process.send_signal(signal.SIGCONT)
        # One that fell due, one for more hints than are kept, one for the lost events.
        watched.journals_all(figures, 1, scans, reasons=3)


def remounted(_: Path, watched: Watched, size: int, figures: Figures) -> None:
    """The disk goes away in the midst of the intake: nothing is concluded from what is missing."""
    below = watched.home.inbox / "below the mount.wav"
    below.write_bytes(song(999_999))  # must never be taken for a drop
    with Ext4(watched.home.inbox, megabytes=max(64, size * 20 // 1024)) as disk:
        shutil.rmtree(disk.path / "lost+found", ignore_errors=True)
        with watched.running():
            figures.rss_before = watched.megabytes("VmRSS")
            watched.write(size // 2, watched.home.inbox)
            part = size // 8
            wait_for(lambda: watched.journaled() >= part, timeout=120, what="a part journaled")
            disk.umount()
            wait_for(watched.paused, timeout=60, what="the pause `inbox`")
            seen = watched.journaled()
            until = time.monotonic() + 3 * watched.rescan_seconds
            while time.monotonic() < until:  # nothing may happen for three rescans
                watched.alive()
                states = dict(watched.home.rows("SELECT state, count(*) FROM jobs GROUP BY state"))
                if states != {"queued": seen} or not watched.paused():
                    figures.faults.append(f"while the disk was away: {states}, it was {seen}")
                    break
                time.sleep(0.1)
            figures.notes.append(f"{seen:,} were journaled when it went; nothing moved meanwhile")
            disk.mount()
            watched.write(size - size // 2, watched.home.inbox)
            watched.journals_all(figures, seen, watched.scans())
            wait_for(lambda: not watched.paused(), what="the pause's end")


def remade(_: Path, watched: Watched, size: int, figures: Figures) -> None:
    """Deleted with all that is in it, and made again: the new folder is watched, no row is lost."""
    with watched.running():
        figures.rss_before = watched.megabytes("VmRSS")
        watched.write(10, watched.home.inbox)
        wait_for(lambda: watched.journaled() == 11, timeout=60, what="what is there first")
        shutil.rmtree(watched.home.inbox)
        wait_for(watched.paused, timeout=60, what="the pause `inbox`")
        watched.home.inbox.mkdir()
        watched.write(size, watched.home.inbox)
        watched.journals_all(figures, 11, watched.scans())
        wait_for(lambda: not watched.paused(), what="the pause's end")
        watched.write(1, watched.home.inbox)
        wait_for(lambda: watched.journaled() == watched.dropped, timeout=60, what="one more")
        figures.faults += watched.wrong()


def deaf(_: Path, watched: Watched, size: int, figures: Figures) -> None:
    """The observer's threads die: the next rescan finds what no event told of, and mends it."""
    with watched.running():
        figures.rss_before = watched.megabytes("VmRSS")
        watched.process.send_signal(signal.SIGUSR1)
        dead = watched.home.root / "deafened"
        wait_for(dead.exists, what="the observer's end")
        watched.write(size, watched.home.inbox)
        watched.journals_all(figures, 1, watched.scans())
        wait_for(lambda: watched.status()["watcher"]["rebuilds"], what="the observer built again")


def moved(root: Path, watched: Watched, size: int, figures: Figures) -> None:
    """A tree of folders in one rename: one event for thousands of songs."""
    tree = root / "an album tree"
    watched.write(size, tree / "deep" / "down", below="an album tree/deep/down/")
    with watched.running():
        figures.rss_before = watched.megabytes("VmRSS")
        scans = watched.scans()
        tree.rename(watched.home.inbox / tree.name)
        watched.journals_all(figures, 1, scans)


STORIES: dict[str, Story] = {
    "stopped": stopped,
    "remounted": remounted,
    "remade": remade,
    "deaf": deaf,
    "moved": moved,
}


def why_not(name: str) -> str | None:
    """Why this story can't be told on this machine; None if it can."""
    if not _QUEUE.exists():
        return "needs inotify (Linux)"
    return why_no_mounts("mkfs.ext4", "losetup") if name == "remounted" else None


def tell(
    name: str, size: int, root: Path, *, rescan_seconds: float = 30.0, settle: float = 5.0
) -> Figures:
    """One story in the folder `root`, with the waiting times of the default configuration."""
    figures = Figures(name, rescan_seconds)
    watched = Watched(root, rescan_seconds, settle)
    STORIES[name](root, watched, size, figures)
    return figures


def result_of(all_figures: Sequence[Figures], size: int, untold: Sequence[str]) -> Result:
    """Of all stories together; `untold`: why one could not be told here."""
    attack = (
        f"{size:,} files each time: dropped while the process was stopped and inotify overflowed; "
        "the inbox unmounted and mounted, deleted and made again; the observer's threads killed; "
        f"a tree moved in ({', '.join(figures.name for figures in all_figures)})"
    )
    scans = [figures.scans for figures in all_figures]
    seconds = [figures.seconds for figures in all_figures]
    rates = [figures.files / figures.seconds for figures in all_figures if figures.seconds]
    noticed = [figures.noticed for figures in all_figures if figures.noticed is not None]
    faults = [f"{one.name}: {fault}" for one in all_figures for fault in one.faults]
    found = "nothing"
    if all_figures:
        found = (
            f"{several(len(faults), 'time')} journaled twice, never or late, or acted upon while "
            f"the mount was away; {min(scans)} to {max(scans)} whole scans; noticed within "
            f"{max(noticed, default=0.0):.1f} rescans ({all_figures[0].rescan_seconds:g} s), all "
            f"taken in after {min(seconds):.0f} to {max(seconds):.0f} s, as fast as they can be "
            f"probed ({min(rates, default=0.0):.0f} to {max(rates, default=0.0):.0f} a second)"
        )
    return Result("every file is found once", attack, found, [*faults, *untold])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=20_000, help="files (default 20,000)")
    parser.add_argument("--only", choices=sorted(STORIES), action="append")
    parser.add_argument("--rescan", type=float, default=30.0, help="watch.rescan_seconds")
    parser.add_argument("--settle", type=float, default=5.0, help="watch.settle_seconds")
    result.add_option(parser)
    options = parser.parse_args()
    told: list[Figures] = []
    untold: list[str] = []
    for name in options.only or STORIES:
        if (reason := why_not(name)) is not None:
            untold.append(f"{name} could not be told: {reason}")
            print(untold[-1], flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="watcher-truth-") as folder:
            figures = tell(
                name,
                options.size,
                Path(folder),
                rescan_seconds=options.rescan,
                settle=options.settle,
            )
        print(figures, flush=True)
        told.append(figures)
    return result.conclude(result_of(told, options.size, untold), options.json)


if __name__ == "__main__":
    raise SystemExit(main())
