"""Looking at the inbox, beside the bare system calls: `python -m tests.benchmarks.bench_watch`.

- First scan of 10,000 and 100,000 songs (warm): `inbox.scan` against a bare walk with os.scandir,
  and against the same walk with a stat of every file (goal: <= 5 x that).
- Rescans where nothing changed, in both modes, against a look of watchdog's PollingObserver at the
  same tree: mean CPU, the looks at everything that come now and then included (goal: a third).
- Memory for each file that waits to settle.
- From a drop to the first byte of the request, beyond settling and hashing: the whole service in a
  process of its own, a server on loopback that notes when a request's first byte comes
  (goal: p95 <= 15 ms).
- A storm of 30,000 new names: how many are lost on the way to the intake (goal: none).

    python -m tests.benchmarks.bench_watch [scan|rescan|memory|drop|storm ...]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median

from watchdog.utils.dirsnapshot import DirectorySnapshot, DirectorySnapshotDiff

from stemwatch.disks.mounts import Mode
from stemwatch.inbox.finished import FinishedSongs
from stemwatch.inbox.names import Filter
from stemwatch.inbox.rounds import CAPACITY, Rounds
from stemwatch.inbox.scan import Found, scan
from stemwatch.inbox.settle import Settler
from stemwatch.inbox.unchanged_folders import Folders
from stemwatch.inbox.watcher import Watcher
from stemwatch.job import Identity
from stemwatch.journal.journal import Journal
from tests.acceptance.harness import KEY, Home
from tests.acceptance.songs import wav_bytes
from tests.benchmarks.looking import load
from tests.benchmarks.serving import scenario_server, seen
from tests.support.rounds import Front
from tests.support.waiting import wait_for, wait_for_async

ROUNDS = 7
A_FOLDER = 200  # songs: a large album box
DROPS = 40
SECONDS = 1.0  # of each dropped song: its hashing takes nothing
STORM = 30_000
SONGS = Filter(("mp3", "wav", "flac", "m4a", "ogg", "webm"), ())


def tree(root: Path, songs: int) -> Path:
    """So many songs in folders of A_FOLDER."""
    for number in range(0, songs, A_FOLDER):
        folder = root / f"{number // 10_000:03}" / f"{number:06}"
        folder.mkdir(parents=True)
        for song in range(number, min(songs, number + A_FOLDER)):
            (folder / f"song {song}.mp3").touch()
    return root


def walk(root: str, *, stats: bool) -> int:
    """The bare system calls, and nothing else."""
    found, pending = 0, [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    found += 1
                    if stats:
                        entry.stat(follow_symlinks=False)
    return found


def cpu(work: Callable[[], object]) -> float:
    """ms of CPU: what another process takes meanwhile is not counted."""
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def first_scan(folder: Path) -> None:
    for songs in (10_000, 100_000):
        root = str(tree(folder / f"scan{songs}", songs))
        ways: list[Callable[[], int]] = [
            lambda root=root: sum(1 for _ in scan(root, SONGS)),  # type: ignore[misc]
            lambda root=root: walk(root, stats=True),  # type: ignore[misc]
            lambda root=root: walk(root, stats=False),  # type: ignore[misc]
        ]
        assert [way() for way in ways] == [songs] * 3
        rows = [[cpu(way) for way in ways] for _ in range(ROUNDS)]
        print(
            f"first scan of {songs:7,}: {median(r[0] for r in rows):5.0f} ms of CPU,"
            f" {median(r[0] / r[1] for r in rows):.2f} x scandir with stat (goal 5),"
            f" {median(r[0] / r[2] for r in rows):.1f} x bare scandir",
            flush=True,
        )


class Rescan:
    """The rounds' looks at an inbox of songs that are done and kept."""

    def __init__(self, root: str, mode: Mode) -> None:
        self._root, self._mode = root, mode
        self._now = 0.0
        self._kept, self._folders = FinishedSongs(), Folders(lambda: self._now)
        for _ in range(3):
            self.look()

    def look(self) -> None:
        self._now += 30.0
        if self._folders.begin(self._mode):
            self._kept.begin()
        for slice_ in self._kept.slices(scan(self._root, SONGS, folders=self._folders)):
            self._kept.add(slice_)


def rescan(folder: Path) -> None:
    cycle = 20  # holds whole and short looks of both modes as often as they come
    for songs in (10_000, 100_000):
        root = str(tree(folder / f"rescan{songs}", songs))
        before = DirectorySnapshot(root)

        def snapshot(root: str = root, before: DirectorySnapshot = before) -> None:
            DirectorySnapshotDiff(before, DirectorySnapshot(root))

        for mode in ("poll", "inotify"):
            ours, theirs = [], []
            looks = Rescan(root, mode)  # type: ignore[arg-type]
            for _ in range(3):
                ours += [cpu(looks.look) for _ in range(cycle)]
                theirs += [cpu(snapshot) for _ in range(2)]
            print(
                f"rescan of {songs:7,}, {mode:7}: {fmean(ours):6.1f} ms of CPU a look"
                f" ({min(ours):.1f} to {max(ours):.0f}), {fmean(ours) / fmean(theirs):.3f} x"
                f" PollingObserver's {fmean(theirs):.0f} ms (goal 0.33)",
                flush=True,
            )


def memory(_: Path) -> None:
    files = CAPACITY
    settler = Settler(5.0, samples=3, capacity=files, patience=100.0, compare_inode=True)
    tracemalloc.start()
    for number in range(files):
        path = f"/srv/inbox/some folder/song {number}.mp3"
        identity = Identity(1, 1_000_000 + number, 40_000_000 + number, time.time_ns() + number)
        settler.track(Found(path, path[11:], identity), float(number))
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"memory: {size / files:.0f} bytes for each file that settles, at most {files:,} at once")


def drop(folder: Path) -> None:
    """Beside it what the disk takes meanwhile for the two commits that come before a request."""
    settle = 0.5
    dropped, flushes = [], []
    with scenario_server({"key": KEY, "job_seconds": 0.1}) as origin:
        home = Home(
            folder / "drop",
            f"{origin}/v1",
            watch={"settle_seconds": settle, "rescan_seconds": 30},
            log={"level": "info"},
        )
        with home.service():
            for number in range(DROPS + 3):
                part = home.root / "song.wav"
                part.write_bytes(wav_bytes(number, seconds=SECONDS, rate=8000))
                dropped.append(time.time())
                part.rename(home.inbox / f"song {number}.wav")
                filed = home.archive / f"song {number}.wav"
                wait_for(filed.exists, every=0.05)  # the last of its steps: one song at a time
                flushes.append(_two_flushes(home.root / "flushed") * 1000)
        posts = [entry["time"] for entry in seen(origin)["log"] if entry["route"] == "post"]
    assert len(posts) == len(dropped)
    late = [(post - at - settle) * 1000 for post, at in zip(posts, dropped, strict=True)]
    late = late[3:]  # the first ones start the helper that probes
    print(f"drop to request, beyond {settle} s of settling: {_spread(late)} (goal: p95 15)")
    print(f"  the disk alone, two flushes after each: {_spread(flushes)}")


def _two_flushes(path: Path) -> float:
    """Seconds that the disk takes for two commits of two pages each."""
    with path.open("ab", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(2):
            file.write(os.urandom(8192))
            os.fdatasync(file.fileno())
        return time.perf_counter() - began


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    middle, high = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    return f"p50 {middle:.1f} ms, p95 {high:.1f} ms, most {ordered[-1]:.1f} ms"


class _Taking(Front):
    """Takes every settled file away, and remembers it."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    async def admit(self, found: Found, *, patient: bool) -> None:  # noqa: ARG002
        os.unlink(found.path)
        self.taken[found.relpath] += 1


_STORM = """
import os, sys
for number in range(int(sys.argv[2])):
    os.close(os.open(f"{sys.argv[1]}/song {number}.mp3", os.O_CREAT | os.O_WRONLY))
"""


def storm(folder: Path) -> None:
    """All names at once; watchdog's queue overflows, and more come than may be followed."""
    inbox = folder / "storm"
    inbox.mkdir()
    front = _Taking()

    async def all_taken() -> float:
        journal = Journal(str(folder / "journal.sqlite3"))
        rounds = Rounds(
            str(inbox),
            filter=SONGS,
            settler=Settler(0.2, samples=3, capacity=CAPACITY, patience=9.0, compare_inode=True),
            watcher=(
                watcher := Watcher(
                    str(inbox),
                    mode="inotify",
                    loop=asyncio.get_running_loop(),
                    wake=lambda: rounds.wake(),
                )
            ),
            journal=journal,
            front=front,
            rescan_seconds=30.0,
        )
        going = asyncio.create_task(rounds.run())
        await wait_for_async(lambda: rounds.completed and watcher.healthy)
        started = time.perf_counter()
        storming = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _STORM, str(inbox), str(STORM)
        )
        await storming.wait()
        await wait_for_async(lambda: len(front.taken) == STORM, timeout=300, every=0.1)
        seconds = time.perf_counter() - started
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        journal.close()
        return seconds

    try:
        seconds = asyncio.run(all_taken())
    finally:
        lost = STORM - len(front.taken)
        print(f"storm of {STORM:,}: {lost} lost, {front.taken.total() - STORM + lost} twice")
    print(f"   the last was taken after {seconds:.1f} s")


PARTS: dict[str, Callable[[Path], None]] = {
    "scan": first_scan,
    "rescan": rescan,
    "memory": memory,
    "drop": drop,
    "storm": storm,
}


def main() -> None:
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](Path(folder))
    print(load())


if __name__ == "__main__":
    main()
