"""What a user would hold against the service: audio that is lost, results seen half made."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType

from stemwatch.errors import StemwatchError
from stemwatch.outbox.delivery import verify_folder
from stemwatch.outbox.quarantine import REASON_SUFFIX
from stemwatch.outbox.sidecar import result_files
from stemwatch.outbox.staged_stem_file import of_sidecar

# What the service writes beside songs for an instant, and a kill may leave: not an original's copy.
PASSING = re.compile(r"\.stemwatch-(canary$|check-|probe-|[0-9a-f]{16}\.part$)")


class Observer:
    """Looks at an outbox all the time, in a thread of its own; `partial` is what it should not see.

    Whatever is visible has to be whole: a folder with a sidecar, every file that it names with its
    SHA-256, and no other. `mirrors` are the folders that only mirror the inbox's own.
    """

    def __init__(self, outbox: Path, *, mirrors: set[str] | None = None, every: float = 0.002):
        self._outbox, self._mirrors, self._every = str(outbox), mirrors or set(), every
        self._whole: dict[str, tuple[int, int]] = {}  # folders that were checked, with their look
        self.partial: set[str] = set()
        self.looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)

    def look(self, *, again: bool = False) -> None:
        """Scan once; `again`: hash also what was whole before."""
        if again:
            self._whole.clear()
        self._scan(self._outbox, "")
        self.looks += 1

    @property
    def delivered(self) -> int:
        return len(self._whole)

    def _scan(self, folder: str, below: str) -> None:
        try:
            with os.scandir(folder) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
        except FileNotFoundError:
            return
        for entry in entries:
            name = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False) and name in self._mirrors:
                self._scan(entry.path, f"{name}/")
            elif entry.is_dir(follow_symlinks=False):
                self._song(entry, name)
            else:
                self.partial.add(f"{name}: a loose file")

    def _song(self, entry: os.DirEntry[str], name: str) -> None:
        seen = entry.stat(follow_symlinks=False)
        look = (seen.st_ino, seen.st_mtime_ns)
        if self._whole.get(entry.path) == look:
            return
        there = set(os.listdir(entry.path))
        try:
            sidecar = verify_folder(entry.path)
        except (StemwatchError, OSError) as fault:
            self.partial.add(f"{name}: {fault}")
            return
        named = {stem.file for stem in result_files(sidecar)}
        if (one := of_sidecar(sidecar)) is not None:
            named.add(one.file)
            if one.file in there and sha256(Path(entry.path, one.file)) != one.sha256:
                self.partial.add(f"{name}: {one.file} is not what its sidecar says")
                return
        others = {file for file in there - named if not file.endswith(".stemwatch.json")}
        if others or len(there) != len(named) + 1:
            self.partial.add(f"{name}: holds {sorted(there)}, names {sorted(named)}")
            return
        self._whole[entry.path] = look

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.look()

    def __enter__(self) -> Observer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.look(again=True)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def originals(*folders: Path) -> Counter[str]:
    """The files in inbox, archive and quarantine by content: how many there are of each.

    Hidden ones don't count: an original that is hidden from its owner is lost.
    """
    return Counter(
        sha256(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file()
        and not path.name.startswith(".")
        and not path.name.endswith(REASON_SUFFIX)
    )


def litter(*folders: Path) -> list[str]:
    """Hidden files, and those in hidden folders, that kills left: seen by nobody, yet not nothing.

    Relative to the folder (inbox, outbox ...) that holds them.
    """
    return [
        str(path.relative_to(root))
        for root in folders
        for path in root.rglob("*")
        if path.is_file() and any(part[0] == "." for part in path.relative_to(root).parts)
    ]
