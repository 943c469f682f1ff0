"""Runs the real service for one song in a folder of its own, and ends it: the demo.

The service is a process of its own with its own configuration file, as any user would run it. It
ends with this process, however that ends: on Linux the kernel sends it SIGTERM then. Its separation
server and its helpers end with it.
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
from stemwatch.song_kinds import ALL

CONFIGURATION, LOG, STATE = "stemwatch.yaml", "stemwatch.log", "state"
INBOX, OUTBOX = "inbox", "outbox"
_MARK = "# Made by `stemwatch demo`: may be made again by the next one.\n"
_PR_SET_PDEATHSIG = 1
STOP_SECONDS = 90.0  # the service's own drain takes less
_LAST_LINES = 15


class Demonstration:
    """A context manager: one folder, and a service that runs in it until the block ends."""

    def __init__(self, folder: str, *, stems: int, format: str) -> None:
        """Prepare the folder. Raises ConfigFault if its configuration is not from a demo."""
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
        # Load the library before the fork: after it, only simple calls are safe.
        prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

        def end_with_parent() -> None:
            if prctl is not None:
                prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # the parent died before the call above
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
                start_new_session=True,  # Ctrl-C ends this process, which then ends the service
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
        """Raise StemwatchError if the service has ended."""
        if self._child is not None and self._child.poll() is not None:
            raise StemwatchError(
                f"The service ended with exit code {self._child.returncode}; above is what it said."
            )

    def last_words(self) -> list[str]:
        """The last lines of the service's log."""
        with open(os.path.join(self.folder, LOG), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 16384))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return lines[-_LAST_LINES:]

    def drop(self, name: str, fill: Callable[[str], object]) -> str:
        """Put a song into the inbox as copy programs do, under a hidden name first.

        `fill(path)` writes the content. Returns the song's path. Raises OSError.
        """
        inbox = os.path.join(self.folder, INBOX)
        part = os.path.join(inbox, f".demo-{secrets.token_hex(4)}.part")
        try:
            fill(part)
            for candidate in naming.file_candidates(name, secrets.token_hex(32)):
                target = os.path.join(inbox, candidate)
                try:
                    os.link(part, target)  # replaces no song that waits there
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
        """The job of the song that was dropped at `path` after `since` (Unix seconds), or None."""
        journal = ReadOnlyJournal(os.path.join(self.state, JOURNAL))
        try:
            jobs = (await journal.at_paths([path])).get(path, [])
        finally:
            journal.close()
        return next((job for job in reversed(jobs) if job.updated_at >= since), None)


def is_over(job: Job) -> bool:
    """Whether the service has finished with the job."""
    if job.state is JobState.QUARANTINED:
        return job.filed_to is not None
    return job.state in (JobState.DONE, JobState.GONE)


def patience(job: Job | None) -> float:
    """Seconds that a song may take in all on a slow machine; the longer the song, the more."""
    return 180.0 + 10.0 * ((job.duration or 0.0) if job is not None else 0.0)


def refuse_name(path: str) -> str | None:
    """Why the inbox would not take a file of this name, in one sentence; None: it would."""
    if Filter(ALL).wanted(os.path.basename(path)):
        return None
    known = ", ".join(ALL)
    return (
        f"{path}: the inbox takes no file of this name: it must end in one of {known}, "
        "and not begin with a dot."
    )


def copy_to(source: str) -> Callable[[str], object]:
    return lambda target: shutil.copyfile(source, target)


# Variables that belong to the caller's own service, and must not reach the demo's.
_OUR_OWN = frozenset({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "STATE_DIRECTORY"})
_TEXT = """\
folders: {{inbox: inbox, outbox: outbox, quarantine: quarantine, archive: archive}}
state_dir: state
watch: {{settle_seconds: 0.5, rescan_seconds: 5}}
separation: {{stems: {stems}, format: {format}}}
api: {{base_url: local}}
log: {{format: console}}
"""
