"""Every sweep at its full size, and the rows of docs/promises.md from what each found.

    python -m tests.faults.all --out FOLDER      all of it: about 50 minutes on two cores (root)
    python -m tests.faults.all --size small      whether each one works here: two minutes
    python -m tests.faults.all --only soak hostile --out FOLDER

FOLDER keeps of each sweep what it printed (NAME.log), what it found (NAME.json), and all rows
(table.md). The soak lasts as long as it is told to, on little more than one core; beside it, one
after another, run those that are not held to seconds, at idle priority: they get what it leaves.
(In small they have the usual priority: a busy machine would leave them nothing.)
Shares, disks and the watcher, who are held to seconds, have the machine to themselves, afterwards.

Exits 0 where every promise held, 1 where one fell short or a sweep came to no end, 2 where this
machine lacks what one needs.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.faults import result
from tests.faults.result import Result

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "strace": "strace",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
    "rclone": "rclone",
    "sshfs": "sshfs",
    "smbd": "samba",
    "smbclient": "smbclient",
    "/usr/lib/openssh/sftp-server": "openssh-sftp-server",
}
_MOUNTS = ("mkfs.ext4", "losetup")


@dataclass(frozen=True, slots=True)
class Sweep:
    """One command of this folder.

    `alone`: it is held to seconds, so nothing runs beside it. `idle`: in full it takes nothing from
    others.
    """

    name: str
    full: str
    small: str
    needs: tuple[str, ...] = ()
    alone: bool = False
    idle: bool = False

    def command(self, size: str, file: Path) -> list[str]:
        module, *arguments = shlex.split(self.full if size == "full" else self.small)
        module = f"tests.faults.{module}"
        priority = ["chrt", "--idle", "0"] if self.idle and size == "full" else []
        return [*priority, sys.executable, "-m", module, *arguments, result.OPTION, str(file)]


# In the order in which they begin: the soak first, so that the others fit beside it.
SWEEPS = (
    Sweep("soak", "soak --minutes 30", "soak --minutes 0.1"),
    Sweep("kill", "kill_sweep --points 400", "kill_sweep --points 4", ("strace",), idle=True),
    Sweep(
        "stop",
        "kill_sweep --points 60 --signal TERM",
        "kill_sweep --points 2 --signal TERM",
        ("strace",),
        idle=True,
    ),
    Sweep("power", "power_cut --size 104", "power_cut --size 2", _MOUNTS, idle=True),
    Sweep("hostile", "hostile --size 10000", "hostile --size 100", idle=True),
    Sweep(
        "shares",
        "shares --full",
        "shares --only exported --only sftp",
        ("rclone", "sshfs", "smbd", "smbclient", "/usr/lib/openssh/sftp-server"),
        alone=True,
    ),
    Sweep("disks", "io_faults --size all", "io_faults --size 6", ("strace", *_MOUNTS), alone=True),
    Sweep(
        "watcher",
        "watcher_truth --size 20000",
        "watcher_truth --size 400 --rescan 2 --settle 0.2",
        _MOUNTS,
        alone=True,
    ),
)


def missing(sweeps: Iterable[Sweep]) -> str | None:
    """What to type for the tools that this machine lacks; None if it has them all."""
    tools = {tool for sweep in sweeps for tool in sweep.needs}
    packages = sorted({PACKAGES[tool] for tool in tools if shutil.which(tool) is None})
    return f"apt-get install {' '.join(packages)}" if packages else None


class Run:
    """All that was chosen, two at a time at most; what came of each goes into `results`."""

    def __init__(self, out: Path, size: str) -> None:
        self._out, self._size = out, size
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self.results: dict[str, Result | None] = {}

    def run(self, sweeps: Sequence[Sweep]) -> None:
        for alone, at_once in ((False, 2), (True, 1)):
            with ThreadPoolExecutor(at_once) as pool:
                chosen = [sweep for sweep in sweeps if sweep.alone is alone]
                for done in [pool.submit(self._one, sweep) for sweep in chosen]:
                    done.result()

    def _one(self, sweep: Sweep) -> None:
        log, file = self._out / f"{sweep.name}.log", self._out / f"{sweep.name}.json"
        file.unlink(missing_ok=True)
        began = time.monotonic()
        with log.open("wb") as output:
            with self._lock:
                if self._stopped:
                    return
                command = sweep.command(self._size, file)
                process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
                self._processes.add(process)
            code = process.wait()
        with self._lock:
            self._processes.discard(process)
        self.results[sweep.name] = found = _found(file)
        verdict = "came to no end" if found is None else "fell short" if found.faults else "holds"
        _tell(f"{sweep.name}: {verdict} (exit {code}), {time.monotonic() - began:.0f} s, {log}")

    def stop(self) -> None:
        """End what runs; sweeps unmount on their way out, so they are asked to."""
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.terminate()


def _found(file: Path) -> Result | None:
    try:
        return result.load(file)
    except (OSError, ValueError):
        return None


def table(results: dict[str, Result | None]) -> str:
    """README's rows, in its order: every sweep's, and a line for each that came to no end."""
    order = ("kill", "stop", "power", "disks", "hostile", "watcher", "shares", "soak")
    head = "| promise | how it was attacked | found | command |\n|---|---|---|---|"
    rows = [
        found.row if (found := results[name]) else f"| {name} | | **came to no end** | |"
        for name in order
        if name in results
    ]
    return "\n".join((head, *rows))


def _tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="a folder for outputs (default: a new one)")
    parser.add_argument("--size", choices=("full", "small"), default="full")
    names = [sweep.name for sweep in SWEEPS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    options = parser.parse_args(arguments)
    chosen = [sweep for sweep in SWEEPS if options.only is None or sweep.name in options.only]
    if (command := missing(chosen)) is not None:
        print(f"This machine lacks what these sweeps need: `{command}`", file=sys.stderr)
        return 2
    out = options.out or Path(tempfile.mkdtemp(prefix="faults-"))
    out.mkdir(parents=True, exist_ok=True)
    run = Run(out.resolve(), options.size)
    began = time.monotonic()
    before = {
        number: signal.signal(number, lambda *_: run.stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        run.run(chosen)
    finally:  # a test calls this in its own process
        for number, handler in before.items():
            signal.signal(number, handler)
    rows = table(run.results)
    (out / "table.md").write_text(rows + "\n")
    print(rows)
    _tell(f"{time.monotonic() - began:.0f} s in all; outputs are in {out}")
    held = [found for found in run.results.values() if found is not None and not found.faults]
    return 0 if len(held) == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
