"""Runs the real service for one song in a folder of its own, and ends it: the demo.

It runs as a process of its own through its own configuration file, as anybody would run it. It
ends with us, however we end: the kernel sends it SIGTERM when we die (Linux), and its separation
server and helpers end with it.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from types import TracebackType
from typing import IO

from stemwatch.errors import ConfigFault, StemwatchError
from stemwatch.inbox.names import Filter
from stemwatch.job import Job, JobState
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.outbox import naming
from stemwatch.server.work.process import environment

CONFIGURATION, LOG, STATE = "stemwatch.yaml", "stemwatch.log", "state"
INBOX, OUTBOX = "inbox", "outbox"
EXTENSIONS = ("mp3", "wav", "flac", "m4a", "ogg", "webm")
_MARK = "# Made by `stemwatch demo`: may be made again by the next one.\n"
_PR_SET_PDEATHSIG = 1
STOP_SECONDS = 90.0  # its own drain takes less
_LAST_LINES = 15


class Demonstration:
    """One folder with a running service in it; a context manager that leaves nothing running."""

    def __init__(self, folder: str, *, stems: int, format: str) -> None:
        """Make the folder ready. Raises ConfigFault if its configuration is somebody else's."""
        self.folder = os.path.abspath(folder)
        self.state = os.path.join(self.folder, STATE)
        self._child: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        try:
            for name in (INBOX, OUTBOX, "quarantine", "archive"):
                os.makedirs(os.path.join(self.folder, name), exist_ok=True)
            self._configure(stems, format)
        except OSError as fault:
            raise ConfigFault(f"{folder} can't be used for the demo: {fault.strerror}.") from fault

    def _configure(self, stems: int, format: str) -> None:
        path = os.path.join(self.folder, CONFIGURATION)
        if os.path.lexists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                if file.readline() != _MARK:
                    raise ConfigFault(
                        f"{path} is there already, and not from a demo; it is left as it is.",
                        hint="Give another folder: `stemwatch demo --dir DIR`.",
                    )
        with open(path, "w", encoding="utf-8") as file:
            file.write(_MARK + _TEXT.format(stems=stems, format=format))

    def __enter__(self) -> Demonstration:
        self._log = open(os.path.join(self.folder, LOG), "wb")
        parent = os.getpid()
        # The library is loaded before the fork: after it, only simple calls are safe.
        prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

        def end_with_parent() -> None:
            if prctl is not None:
                prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died before that
                os._exit(1)

        # -P: a file named like a library in the user's current folder must not be imported.
        command = [sys.executable, "-P", "-m", "stemwatch.cli", "run", "-c"]
        try:
            self._child = subprocess.Popen(
                [*command, os.path.join(self.folder, CONFIGURATION)],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                env={n: v for n, v in environment().items() if n not in _OUR_OWN},
                start_new_session=True,  # Ctrl-C is for us; we tell it
                preexec_fn=end_with_parent,
            )
        except OSError:
            self._log.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._child is not None
        assert self._log is not None
        try:
            self._child.terminate()
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._child.kill()  # also when a second Ctrl-C cuts the wait short
            self._child.wait()
            self._log.close()

    def require_alive(self) -> None:
        """Raises StemwatchError when the service has ended."""
        if self._child is not None and self._child.poll() is not None:
            raise StemwatchError(
                f"The service ended with exit code {self._child.returncode}; above is what it said."
            )

    def last_words(self) -> list[str]:
        """The last lines of its log."""
        with open(os.path.join(self.folder, LOG), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16384))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return lines[-_LAST_LINES:]

    def drop(self, name: str, fill: Callable[[str], object]) -> str:
        """Put a song into the inbox as copy programs do: hidden at first; its path there.

        `fill(path)` writes the content. Raises OSError.
        """
        inbox = os.path.join(self.folder, INBOX)
        part = os.path.join(inbox, f".demo-{secrets.token_hex(4)}.part")
        try:
            fill(part)
            for candidate in naming.file_candidates(name, secrets.token_hex(32)):
                target = os.path.join(inbox, candidate)
                try:
                    os.link(part, target)  # never over a song that waits there
                except FileExistsError:
                    continue
                except OSError:  # no hard links on this disk
                    if os.path.lexists(target):
                        continue
                    os.rename(part, target)
                return target
        finally:
            if os.path.lexists(part):
                os.unlink(part)
        raise AssertionError("candidates never end")

    async def job_at(self, path: str, since: float) -> Job | None:
        """What the journal says of the song dropped at `path` after `since` (Unix seconds)."""
        journal = ReadOnlyJournal(os.path.join(self.state, JOURNAL))
        try:
            jobs = (await journal.at_paths([path])).get(path, [])
        finally:
            journal.close()
        return next((job for job in reversed(jobs) if job.updated_at >= since), None)


def is_over(job: Job) -> bool:
    """Nothing more will happen to it by itself."""
    if job.state is JobState.QUARANTINED:
        return job.filed_to is not None
    return job.state in (JobState.DONE, JobState.GONE)


def patience(job: Job | None) -> float:
    """Seconds that a song may take in all, on a slow machine; more for a long one."""
    return 180.0 + 10.0 * ((job.duration or 0.0) if job is not None else 0.0)


def refuse_name(path: str) -> str | None:
    """Why the inbox would leave a file of this name alone, in one sentence; None: it would not."""
    if Filter(EXTENSIONS).wanted(os.path.basename(path)):
        return None
    return f"{path}: its name is none that is taken ({', '.join(EXTENSIONS)}, not hidden)."


def copy_to(source: str) -> Callable[[str], object]:
    return lambda target: shutil.copyfile(source, target)


# Settings of the caller's own service are not the demo's.
_OUR_OWN = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "STATE_DIRECTORY"})
_TEXT = """\
folders: {{inbox: inbox, outbox: outbox, quarantine: quarantine, archive: archive}}
state_dir: state
watch: {{settle_seconds: 0.5, rescan_seconds: 5}}
separation: {{stems: {stems}, format: {format}}}
api: {{base_url: local}}
log: {{format: console}}
"""
