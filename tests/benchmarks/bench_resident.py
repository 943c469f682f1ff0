"""What stemwatch costs while nothing happens: `python -m tests.benchmarks.bench_resident [FILES]`.

Starts: CPU and time of commands, as multiples of bare Python's in the same run. Imports: what each
library adds, and as a multiple of bare Python. Idle: the real service over FILES songs (10,000)
that were delivered and stay in the inbox, beside the least that could do its work: a bare asyncio
loop with httpx, sqlite3 and watchdog's own polling observer over the same folder, which looks at it
as often. Both at once, for ten rescans, one of which looks at everything (6 minutes in all). Pages
read from the disk are told as well, for each is a wake-up that a machine which keeps its cache does
not see.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stemwatch.job import Identity, Job, JobState
from stemwatch.journal.journal import Journal
from tests.acceptance.harness import Home
from tests.support.commands import a_job

ROUNDS = 7
RESCAN = 30.0  # seconds, the default
WARM = 2 * RESCAN + 5.0  # a folder is passed over from the third look at it on
STRETCH = 10 * RESCAN  # with one of everything among them, wherever it begins
NOWHERE = "http://127.0.0.1:9/v1"  # an idle service asks nobody

IMPORTS = (
    "asyncio", "sqlite3", "httpx", "structlog", "watchdog.observers.inotify", "yaml", "tenacity",
    "click", "rich.console", "av", "numpy", "starlette.applications", "uvicorn",
    "stemwatch.stemsplit", "stemwatch.log", "stemwatch.config", "stemwatch.service.app",
)  # fmt: skip
_ALTERNATIVE = f"""
import asyncio, sqlite3, sys, httpx
from watchdog.events import FileSystemEventHandler
from watchdog.observers.polling import PollingObserver
observer = PollingObserver(timeout={RESCAN})
observer.schedule(FileSystemEventHandler(), sys.argv[1], recursive=True)
observer.start()
print("ready", flush=True)
asyncio.new_event_loop().run_forever()
"""


class Cost(NamedTuple):
    """CPU seconds and seconds of one process, and what it was asked to print: its resident MB."""

    cpu: float
    rss: float
    took: float


class Idle(NamedTuple):
    """A process that waits: MB resident and private; CPU %, wake-ups and disk pages a second."""

    rss: float
    private: float
    cpu: float
    wakes: float
    pages: float


def start(command: list[str], home: Home) -> Cost:
    """Run a command to its end."""
    read, write = os.pipe()
    began = time.perf_counter()
    with open(read) as told, open(os.devnull, "wb") as nothing:
        process = subprocess.Popen(
            command, cwd=home.root, env=home.env(), stdout=write, stderr=nothing
        )
        os.close(write)
        text = told.read()
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    kilobytes = re.search(r"^Rss: +(\d+)", text, re.MULTILINE)
    rss = int(kilobytes[1]) / 1024 if kilobytes else 0.0
    return Cost(used.ru_utime + used.ru_stime, rss, took)


def starts(commands: dict[str, list[str]], home: Home) -> dict[str, Cost]:
    """The medians of several rounds, interleaved: the machine's moods hit all alike."""
    found: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            found[name].append(start(command, home))
    return {
        name: Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))
        for name, costs in found.items()
    }


def fill(home: Home, files: int) -> None:
    """Songs that were delivered and are kept in the inbox, 200 a folder, with their jobs."""

    def song(number: int) -> Job:
        path = home.inbox / f"album {number // 200:03d}" / f"a song of usual length {number}.mp3"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"song")
        where = {"path": os.fspath(path), "filed_to": os.fspath(path), "state": JobState.DONE}
        name = str(path.relative_to(home.inbox))
        content = {"sha256": f"{number:064x}", "content_key": f"{number:064x}"}
        return a_job(name, Identity.of(path.lstat()), **where, **content)

    async def add() -> None:
        journal = Journal(os.fspath(home.state / "journal.sqlite3"))
        for first in range(0, files, 500):
            some = range(first, min(first + 500, files))
            await asyncio.gather(*(journal.add(song(number)) for number in some))
        journal.close()

    home.state.mkdir(exist_ok=True)
    asyncio.run(add())


@contextmanager
def running(command: list[str], home: Home, ready: str, *, log: str = "bench.log") -> Iterator[int]:
    """The pid of a process that has said that it is ready."""
    path = home.root / log
    with path.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=home.root, env=home.env(), stdout=out, stderr=subprocess.STDOUT
        )
    try:
        while ready not in path.read_text():
            assert process.poll() is None, path.read_text()
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def idle(pid: int) -> Idle:
    """Once its first scan is over."""
    while _spent(pid, 2.0).cpu > 5:
        pass
    time.sleep(WARM)
    return _spent(pid, STRETCH)


def _spent(pid: int, seconds: float) -> Idle:
    before, started = _counters(pid), time.monotonic()
    time.sleep(seconds)
    after, took = _counters(pid), time.monotonic() - started
    memory = Path(f"/proc/{pid}/smaps_rollup").read_text()
    rss, *private = (
        int(re.search(rf"^{name}:\s+(\d+)", memory, re.MULTILINE)[1]) / 1024  # type: ignore[index]
        for name in ("Rss", "Private_Clean", "Private_Dirty")
    )
    cpu, wakes, pages = ((a - b) / took for a, b in zip(after, before, strict=True))
    return Idle(rss, sum(private), 100 * cpu, wakes, pages)


def _counters(pid: int) -> tuple[float, int, float]:
    """(CPU seconds, sleeps that ended, pages read from the disk) of all threads of a process."""
    cpu, wakes = 0, 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        cpu += int((task / "schedstat").read_text().split()[0])
        status = (task / "status").read_text()
        wakes += int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    read = re.search(r"^read_bytes: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    return cpu / 1e9, wakes, int(read[1]) / os.sysconf("SC_PAGE_SIZE") if read else 0.0


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    python, stemwatch = [sys.executable, "-c"], [sys.executable, "-m", "stemwatch.cli"]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(
            Path(folder),
            NOWHERE,
            folders={"after_success": "keep"},
            watch={"settle_seconds": 5, "rescan_seconds": RESCAN},
            log={"level": "info"},
        )
        commands = {
            "bare Python": [*python, "pass"],
            "import stemwatch.service.app": [*python, "import stemwatch.service.app"],
            "stemwatch --help": [*stemwatch, "--help"],
            "stemwatch status": [*stemwatch, "status"],
            "stemwatch status --json": [*stemwatch, "status", "--json"],
            "stemwatch run --once": [*stemwatch, "run", "--once"],
        }
        found = starts(commands, home)
        bare = found["bare Python"]
        print(f"{'start':28} {'CPU ms':>8} {'x Python':>9} {'ms':>8} {'x Python':>9}")
        for name, cost in found.items():
            spent = f"{cost.cpu * 1000:8.0f} {cost.cpu / bare.cpu:9.1f}"
            print(f"{name:28} {spent} {cost.took * 1000:8.0f} {cost.took / bare.took:9.1f}")

        tell = "; print(open('/proc/self/smaps_rollup').read())"
        names = ("sys", *IMPORTS)
        found = starts({name: [*python, f"import {name}{tell}"] for name in names}, home)
        heads = f"{'+ ms':>8} {'x Python':>9} {'+ MB':>8}"
        print(f"\n{'import':28} {heads}  (the last four: as used here)")
        for name in IMPORTS:
            more = Cost(*(a - b for a, b in zip(found[name], found["sys"], strict=True)))
            times = found[name].cpu / found["sys"].cpu
            print(f"{name:28} {more.cpu * 1000:8.0f} {times:9.1f} {more.rss:8.1f}")

        fill(home, files)
        heads = f"{'CPU %':>8} {'wakes/s':>9} {'disk/s':>7} {'RSS MB':>8} {'private':>8}"
        print(f"\n{'idle':28} {heads}  {files} songs")
        whole = [*stemwatch, "run", "-c", os.fspath(home.config)]
        rival = [*python, _ALTERNATIVE, os.fspath(home.inbox)]
        with (
            running(whole, home, "service.started") as pid,
            running(rival, home, "ready", log="rival.log") as rival_pid,
            ThreadPoolExecutor(2) as at_once,
        ):
            ours, theirs = at_once.map(idle, (pid, rival_pid))
        for name, cost in (("stemwatch run", ours), ("loop + httpx + polling", theirs)):
            looks = f"{cost.cpu:8.3f} {cost.wakes:9.2f} {cost.pages:7.2f}"
            print(f"{name:28} {looks} {cost.rss:8.1f} {cost.private:8.1f}")
        print(f"{'ratio':28} {ours.cpu / theirs.cpu:8.2f} {'':17} {ours.rss / theirs.rss:8.2f}")
        print("goals: RSS <= 40 MB, CPU <= 0.05 %, wake-ups <= 1 a second")


if __name__ == "__main__":
    main()
