"""A whole stemwatch in a folder: its configuration, the installed command, and what it left."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
import yaml

from tests.support import sidecars, warm
from tests.support.waiting import wait_for

WIRES = ("separate", "presigned")
ALL_WIRES = os.environ.get("STEMWATCH_WIRES") == "all"
# Tests of what is the same on each wire: before its first request, after its last, on our side.
EITHER = pytest.mark.parametrize("wire", WIRES if ALL_WIRES else WIRES[:1])
# Tests of what only one wire can meet, such as an answer that nobody can ask for again.
SEPARATE = pytest.mark.parametrize("wire", ["separate"])
PRESIGNED = pytest.mark.parametrize("wire", ["presigned"])
KEY = "sk-acceptance-0123456789abcdef"
SETTLE = 0.2


class Home:
    """One user's folders, configuration and state below `root`."""

    def __init__(self, root: Path, base_url: str, **sections: dict[str, Any]) -> None:
        self.root = root
        self.inbox, self.outbox = root / "inbox", root / "outbox"
        self.quarantine, self.archive = root / "quarantine", root / "archive"
        self.state, self.config = root / "state", root / "stemwatch.yaml"
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.extra_env: dict[str, str] = {}  # what a service manager would set, for example
        self.configure(base_url, **sections)

    def configure(self, base_url: str, **sections: dict[str, Any]) -> None:
        """(Re)write the configuration; `sections` are merged over quick test settings."""
        content: dict[str, Any] = {
            "folders": {name: name for name in ("inbox", "outbox", "quarantine", "archive")},
            "state_dir": "state",
            "watch": {"settle_seconds": SETTLE, "rescan_seconds": 1.0},
            "api": {
                "base_url": base_url,
                "wire": "presigned" if "/api/" in base_url else "separate",
                "poll_interval": 0.1,
                "requests_per_minute": 6000,
            },
            "log": {"format": "json", "level": "debug"},
        }
        for name, values in sections.items():
            if isinstance(values, dict):
                content[name] = {**content.get(name, {}), **values}
            else:
                content[name] = values
        self.config.write_text(yaml.safe_dump(content))

    # -- what is there ---------------------------------------------------------------------

    def sidecars(self) -> dict[str, dict[str, Any]]:
        """Delivered folders (relative to the outbox) with their sidecars, which fit our schema."""
        found = {}
        for folder, below, names in os.walk(self.outbox):
            if ".stemwatch" in below:
                below.remove(".stemwatch")  # it changes under the feet of whoever walks there
            for name in names:
                if name.endswith(".stemwatch.json"):
                    path = Path(folder, name)
                    text = path.read_text()
                    sidecars.check(text)
                    found[str(path.parent.relative_to(self.outbox))] = json.loads(text)
        return dict(sorted(found.items()))

    def reasons(self) -> dict[str, dict[str, Any]]:
        """Quarantined files (relative paths) with their reasons."""
        suffix = ".reason.json"
        return {
            str(path.relative_to(self.quarantine))[: -len(suffix)]: json.loads(path.read_text())
            for path in sorted(self.quarantine.rglob(f"*{suffix}"))
        }

    def waiting(self) -> list[str]:
        """Files in the inbox that are nobody's junk."""
        return sorted(
            str(path.relative_to(self.inbox))
            for path in self.inbox.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )

    def status(self) -> dict[str, Any]:
        """The status file that the service keeps, as other commands see it."""
        found: dict[str, Any] = json.loads((self.state / "status.json").read_text())
        return found

    def journal_count(self, state: str) -> int:
        """How many jobs the journal holds in this state."""
        return int(self.rows("SELECT count(*) FROM jobs WHERE state = ?", state)[0][0])

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the journal; read-only, beside the service."""
        path = f"file:{self.state / 'journal.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(path, uri=True, timeout=30)) as db:
            return db.execute(sql, values).fetchall()

    # -- commands --------------------------------------------------------------------------

    def env(self, key: str | None = KEY) -> dict[str, str]:
        """A clean environment: nothing of the developer's own configuration or key."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        kept |= {"HOME": str(self.root), "PYTHONUNBUFFERED": "1"} | self.extra_env
        return kept | ({"STEMSPLIT_API_KEY": key} if key else {})

    def command(
        self, *arguments: str, key: str | None = KEY, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run `stemwatch ARGUMENTS` to its end, in the root folder."""
        return warm.run([*STEMWATCH, *arguments], cwd=self.root, env=self.env(key), timeout=timeout)

    @contextmanager
    def service(self, *arguments: str, key: str | None = KEY) -> Iterator[Service]:
        """`stemwatch run` in the background, ready; stopped (and asserted clean) at the end."""
        with Service(self, [*STEMWATCH, "run", "-c", str(self.config), *arguments], key) as service:
            yield service

    @contextmanager
    def scaled_service(
        self, factor: float, *arguments: str, key: str | None = KEY
    ) -> Iterator[Service]:
        """`service` with every waiting time (backoffs, pauses ...) `factor` times as long."""
        command = [*SCALED, str(factor), str(self.config), *arguments]
        with Service(self, command, key) as service:
            yield service

    @contextmanager
    def counted_service(self, peak: Path) -> Iterator[Service]:
        """`service` that keeps the largest number of asyncio tasks so far in the file `peak`."""
        counted = [sys.executable, "-m", "tests.acceptance.counted"]
        with Service(self, [*counted, str(self.config), str(peak)], KEY) as service:
            yield service


STEMWATCH = [sys.executable, "-m", "stemwatch.cli"]
# The same service with all its waiting times scaled: python -m tests.acceptance.scaled FACTOR ...
SCALED = [sys.executable, "-m", "tests.acceptance.scaled"]
# Wire B looks for an unanswered submission a last time after a minute: too long for a test.
LOOKED_FOR_SOON = ("confirm_first=1", "confirm_again=3")


class Service:
    """A running service process and its log."""

    def __init__(self, home: Home, command: list[str], key: str | None) -> None:
        self.home = home
        self._log_path = home.root / f"service-{time.monotonic_ns()}.log"
        self._log = self._log_path.open("wb")
        env = {"PYTHONPATH": str(Path(__file__).parents[2])} | home.env(key)
        self.process = warm.popen(
            command, cwd=home.root, env=env, stdout=self._log, stderr=self._log
        )

    def __enter__(self) -> Service:
        self.wait_for_event("service.started")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.stop()
        self._log.close()
        if kind is not None:
            sys.stderr.write(self.text())

    def text(self) -> str:
        return self._log_path.read_text(errors="surrogateescape")

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The log's events so far, all or those of one name."""
        lines = (line for line in self.text().splitlines() if line.startswith("{"))
        found = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the last line, half-written
            if name is None or event["event"] == name:
                found.append(event)
        return found

    def wait_for_event(self, name: str, *, count: int = 1, timeout: float = 60.0) -> dict[str, Any]:
        """Wait until `name` was logged `count` times; returns the last of these."""

        def seen() -> list[dict[str, Any]] | None:
            ended = self.process.poll() is not None  # asked first: its last words may come now
            if self.text().count(f'"{name}"') >= count:  # logs are long: not parsed at each look
                events = self.events(name)
                if len(events) >= count:
                    return events
            assert not ended, f"the service ended:\n{self.text()}"
            return None

        found = wait_for(seen, timeout=timeout, what=f"{count} x {name} in\n{self.text()}")
        return found[count - 1]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM, and wait; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)
