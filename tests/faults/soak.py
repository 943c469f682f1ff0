"""Songs dropped without end, at a server that misbehaves, into a service that is killed.

    python -m tests.faults.soak --minutes 30          (hours: --minutes 240; about 100 kB a song)
    python -m tests.faults.soak --minutes 0.25        as CI runs it

Half of the time one service lives through the server's faults, in the environment that the shipped
unit gives it: what it holds at idle (file descriptors, resident memory) is measured after a warm-up
and at the end. In the other half it is
killed (SIGKILL) every few seconds and started again. All of it is drawn from `--seed`. Batches
hold new songs, old ones under new names, songs for 6 stems, and some files that are no audio.

Then faults and kills stop, everything is worked off, and a person resolves what is left, with
`stemwatch retry`: what may have been charged only after a look at the ledger. Exits 1 if a promise
was broken.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tests.acceptance.harness import KEY, SCALED, Home, Service
from tests.acceptance.songs import wav_bytes
from tests.faults import result
from tests.faults.looking import Observer, originals
from tests.faults.result import Result
from tests.support.waiting import wait_for

UNIT = Path(__file__).parents[2] / "systemd" / "stemwatch.service"
FACTOR = 0.02  # all waiting times of the service
BACKLOG = 40  # songs that wait at most: dropping goes on as fast as they are worked off
FAULTY = 0.06  # of the requests of a route
WARM = 80  # songs until memory is measured: the first ones fill caches and load what is lazy
PATIENCE = 180.0  # seconds until what is left counts as stuck
POST = (
    {"status": 429, "headers": {"Retry-After": "0"}},
    {"status": 429},
    {"status": 500},
    {"status": 503, "headers": {"Retry-After": "0"}},
    {"reset": "head"},
    {"reset": "body"},
)
UNCERTAIN = (  # of the POSTs
    {"status": 502, "html": True},
    {"reset": "end"},
    {"reset": "end", "accept": True},
    {"html": True},
)
GET = (
    {"status": 429},
    {"status": 500},
    {"status": 503, "headers": {"Retry-After": "0"}},
    {"html": True},
    {"half": True},
    {"reset": "head"},
    {"reset": "answer"},
)
DOWNLOAD = (
    {"status": 503},
    {"status": 403},
    {"html": True},
    {"reset": "answer"},
    {"close": "answer"},
    {"length": 1000},
    {"length": -1000},
)


class Server:
    """A scenario server in a process of its own, and its ledger."""

    def __init__(self, ledger: Path) -> None:
        settings = json.dumps({"key": KEY, "job_seconds": 0.02})
        command = [sys.executable, "-m", "tests.support.scenario.server", "--settings", settings]
        self._process = subprocess.Popen(
            [*command, "--ledger", str(ledger)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._urls = json.loads(self._process.stdout.readline())
        self.url: str = self._urls["url"]

    def scenario(self, **changes: Any) -> None:
        self._ask("/_scenario", json.dumps(changes).encode())

    def paid(self) -> Counter[tuple[str, str, str]]:
        """How often each content was charged with each choice of options."""
        jobs = self._ask("/_paid")["jobs"]
        return Counter((job["sha256"], job["stems"], job["format"]) for job in jobs)

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        with urllib.request.urlopen(self._urls["origin"] + path, data=body) as answer:
            return json.loads(answer.read())

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass(frozen=True, slots=True)
class Held:
    """What a service holds at idle: open descriptors, bytes of resident memory."""

    descriptors: int
    memory: int


@dataclass(slots=True)
class Figures:
    """What was found; `broken` says how a promise was."""

    songs: int = 0
    contents: int = 0
    kills: int = 0
    paid: int = 0
    paid_twice: int = 0
    unconfirmed: int = 0
    charged: int = 0
    resolved: int = 0
    stuck: int = 0
    lost: int = 0
    partial: int = 0
    warm: Held = field(default_factory=lambda: Held(0, 0))
    end: Held = field(default_factory=lambda: Held(0, 0))
    between: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def growth(self) -> tuple[float, float]:
        """Of descriptors and of memory, in percent."""
        return (
            100.0 * (self.end.descriptors / max(1, self.warm.descriptors) - 1),
            100.0 * (self.end.memory / max(1, self.warm.memory) - 1),
        )

    def text(self) -> str:
        descriptors, memory = self.growth
        return "\n".join(
            (
                f"songs dropped        {self.songs} ({self.contents} different contents)",
                f"kills                {self.kills}",
                f"paid                 {self.paid} contents, {self.paid_twice} twice",
                f"unconfirmed          {self.unconfirmed} ({self.charged} of them charged, once), "
                f"{self.resolved} in quarantine resolved by retry",
                f"stuck at the end     {self.stuck}",
                f"originals lost       {self.lost}",
                f"partial results seen {self.partial}",
                f"descriptors at idle  {self.warm.descriptors} -> {self.end.descriptors} "
                f"({descriptors:+.1f} %)",
                f"memory at idle       {self.warm.memory / 2**20:.1f} -> "
                f"{self.end.memory / 2**20:.1f} MB ({memory:+.1f} %), {self.between} songs between",
            )
        )

    def result(self, minutes: float) -> Result:
        descriptors, memory = self.growth
        attack = (
            f"{minutes:g} minutes of songs at an API that fails at random, half of them with a "
            f"kill every few seconds: {self.songs:,} songs, {self.kills} kills"
        )
        found = (
            f"{self.paid_twice} paid twice, {self.lost} lost, {self.stuck} stuck, {self.partial} "
            f"seen half; descriptors {descriptors:+.0f} %, memory {memory:+.1f} % over "
            f"{self.between:,} songs in the shipped unit's environment"
        )
        return Result("it stays so for hours", attack, found, self.broken)


class Soak:
    """One soak below `root`."""

    def __init__(self, root: Path, server: Server, seed: int) -> None:
        self.server, self.rng = server, random.Random(seed)
        self.figures = Figures()
        self.home = Home(
            root,
            server.url,
            watch={"settle_seconds": 0.05, "rescan_seconds": 0.5},
            api={"poll_interval": 0.05, "max_concurrent": 8, "requests_per_minute": 100_000},
            presets={"six": {"stems": 6, "format": "flac"}},
            log={"level": "warning", "format": "json"},
        )
        self.dropped: Counter[str] = Counter()  # every file by its content's hash
        self.audio: set[tuple[str, str, str]] = set()  # what has to be paid for, once
        self._names = 0
        self._service: Service | None = None

    # -- the service -----------------------------------------------------------------------

    def start(self, *, as_shipped: bool = False) -> None:
        """`as_shipped`: started by `env`, since glibc reads its settings when a program begins."""
        soon = "helper_idle=0.6"  # `held` waits for the helpers' end
        command = [*SCALED, str(FACTOR), str(self.home.config), soon]
        if as_shipped:
            command = ["env", *assignments(UNIT), *command]
        self._service = Service(self.home, command, KEY)
        wait_for(lambda: (self.home.state / "journal.sqlite3").exists(), timeout=60)

    def end(self, *, kill: bool) -> None:
        assert self._service is not None
        if kill:
            self._service.kill()
            self.figures.kills += 1
        elif (code := self._service.stop(60)) != 0:
            self.figures.broken.append(f"the service ended with {code}: {self._service.text()}")
        self._service.__exit__(None, None, None)
        self._service = None

    def close(self) -> None:
        """End what still runs: a soak that is stopped or fails leaves no service behind."""
        if self._service is not None:
            self._service.kill()
            self._service.__exit__(None, None, None)

    def held(self) -> Held:
        """At idle: every helper has ended, and the number of descriptors stands still.

        Connections kept alive for the next request are left out: one to eight, as it happens.
        """
        assert self._service is not None
        process = psutil.Process(self._service.process.pid)
        wait_for(lambda: not process.children(), timeout=30)
        seen: list[int] = []

        def still() -> bool:
            seen.append(process.num_fds() - len(process.net_connections("tcp")))
            return len(seen) > 5 and len(set(seen[-5:])) == 1

        wait_for(still, timeout=30, every=0.2)
        return Held(seen[-1], process.memory_info().rss)

    # -- songs and faults ------------------------------------------------------------------

    def drop(self) -> None:
        """A batch, as somebody copies it: into a hidden name, then renamed."""
        for _ in range(self.rng.randint(4, 24)):
            self._names += 1
            old = self.figures.contents and self.rng.random() < 0.12
            number = self.rng.randint(1, self.figures.contents) if old else self._new()
            six = number % 11 == 0
            if self.rng.random() < 0.02:
                content = b"RIFF\x04\x00\x00\x00 no sound" + str(self._names).encode() * 99
            else:
                content = wav_bytes(number, seconds=1.0)
            self._put(content, "six" if six else "", f"song {self._names}.wav")
            if b"no sound" not in content[:40]:
                key = (_sha256(content), *(("6", "flac") if six else ("2", "wav")))
                self.audio.add(key)

    def _new(self) -> int:
        self.figures.contents += 1
        return self.figures.contents

    def _put(self, content: bytes, folder: str, name: str) -> None:
        path = self.home.inbox / folder / name
        path.parent.mkdir(exist_ok=True)
        hidden = path.with_name("." + name)
        hidden.write_bytes(content)
        hidden.rename(path)
        self.dropped[_sha256(content)] += 1
        self.figures.songs += 1

    def misbehave(self) -> None:
        """Faults for the next requests of every route."""
        self.server.scenario(
            post=self._steps(POST) if self.rng.random() < 0.9 else self._steps(UNCERTAIN),
            get=self._steps(GET),
            download=self._steps(DOWNLOAD),
        )

    def _steps(self, kinds: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
        rng = self.rng
        return [rng.choice(kinds) if rng.random() < FAULTY else {} for _ in range(60)]

    # -- phases ----------------------------------------------------------------------------

    def work(self, seconds: float, *, kills: bool) -> None:
        """Drop and misbehave for so long; with `kills`, end the service again and again."""
        end = time.monotonic() + seconds
        next_kill = time.monotonic() + self.rng.uniform(0.2, 1.0)
        while time.monotonic() < end:
            if self.backlog() < BACKLOG:
                self.drop()
            self.misbehave()
            self._must_live()
            if kills and time.monotonic() > next_kill:
                self.end(kill=True)
                self.start()
                next_kill = time.monotonic() + self.rng.uniform(1.0, 6.0)
            time.sleep(self.rng.uniform(0.05, 0.3))

    def _must_live(self) -> None:
        assert self._service is not None
        code = self._service.process.poll()
        if code is not None:
            self.figures.broken.append(f"the service ended by itself: {self._service.text()}")
            raise RuntimeError(f"the service ended by itself with {code}")

    def work_off(self) -> None:
        """No more faults: wait until nothing is under way."""
        self.server.scenario(post=[], get=[], download=[])
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.backlog() == 0, timeout=PATIENCE, every=0.2)

    def backlog(self) -> int:
        """Songs in the inbox, and jobs on their way."""
        waiting = len(self.home.waiting())
        sql = (
            "SELECT count(*) FROM jobs WHERE state NOT IN ('done', 'gone', 'quarantined')"
            " OR state = 'quarantined' AND filed_to IS NULL"
        )
        return max(waiting, int(self.rows(sql)[0]["count(*)"]))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        path = f"file:{self.home.state / 'journal.sqlite3'}?mode=ro"
        with contextlib.closing(sqlite3.connect(path, uri=True, timeout=30)) as db:
            db.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in db.execute(sql)]
            except sqlite3.OperationalError:  # it was just being made when its maker was killed
                return [{"count(*)": 1}]

    # -- the reckoning ---------------------------------------------------------------------

    def resolve(self) -> None:
        """What a person does: retry all that is held, but nothing that was charged already."""
        quarantined = "SELECT * FROM jobs WHERE state = 'quarantined'"
        paid = self.server.paid()
        unconfirmed = [r for r in self.rows(quarantined) if r["code"] == "submission_unconfirmed"]
        charged = {r["id"] for r in unconfirmed if paid[_key(r)]}
        self.figures.unconfirmed, self.figures.charged = len(unconfirmed), len(charged)
        self._reckon(paid, {_key(r) for r in unconfirmed})
        settled = {_key(r) for r in unconfirmed if r["id"] in charged}
        for _ in range(3):  # a duplicate can go on once its first one has
            again = [
                str(r["id"])
                for r in self.rows(quarantined)
                if r["code"] != "not_audio" and _key(r) not in settled
            ]
            if not again:
                break
            self.figures.resolved += len(again)
            self._retry(again)
            self.work_off()
        left = [r for r in self.rows(quarantined) if r["code"] != "not_audio"]
        self.figures.stuck = self.backlog() + sum(_key(r) not in settled for r in left)
        twice = sum(number - 1 for number in self.server.paid().values())
        if twice:
            self.figures.broken.append(f"{twice} paid twice after resolving")

    def _retry(self, ids: list[str]) -> None:
        for start in range(0, len(ids), 100):
            some = ids[start : start + 100]
            done = self.home.command("retry", "--yes", "-c", str(self.home.config), *some)
            if done.returncode:
                self.figures.broken.append(f"retry: {done.stdout}{done.stderr}")

    def _reckon(self, paid: Counter[tuple[str, str, str]], doubtful: set[Any]) -> None:
        """Before anybody resolved anything: every content is paid once, doubtful ones at most."""
        figures = self.figures
        figures.paid = len(paid)
        figures.paid_twice = sum(number - 1 for number in paid.values())
        unpaid = self.audio - paid.keys() - doubtful
        if figures.paid_twice:
            figures.broken.append(f"paid twice: {[k for k, n in paid.items() if n > 1]}")
        if unpaid:
            figures.broken.append(f"{len(unpaid)} contents never paid for, nor in doubt")
        if paid.keys() - self.audio:
            figures.broken.append("something was paid for that nobody dropped")

    def judge(self, observer: Observer) -> Figures:
        figures, home = self.figures, self.home
        after = originals(home.inbox, home.archive, home.quarantine)
        figures.lost = sum((self.dropped - after).values()) + sum((after - self.dropped).values())
        figures.partial = len(observer.partial)
        if figures.lost:
            figures.broken.append(f"{figures.lost} originals lost or doubled")
        if figures.partial:
            figures.broken.append(f"partial: {sorted(observer.partial)[:5]}")
        if figures.stuck:
            figures.broken.append(f"{figures.stuck} stuck")
        descriptors, memory = figures.growth
        if descriptors > 5 or memory > 5:
            figures.broken.append("descriptors or memory grew by more than 5 %")
        return figures


def assignments(unit: Path) -> list[str]:
    """The `NAME=value`s of a unit's `Environment=` lines."""
    lines = unit.read_text().splitlines()
    return [line.removeprefix("Environment=") for line in lines if line.startswith("Environment=")]


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    options = json.loads(row["options"])
    return row["sha256"], str(options["stems"]), options["format"]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def soak(root: Path, seconds: float, seed: int = 1) -> Figures:
    """`seconds` of dropping: half in one life, half with kills; then everything is worked off."""
    with Server(root / "ledger") as server:
        run = Soak(root, server, seed)
        watching = Observer(run.home.outbox, mirrors={"six"}, every=0.2)
        with contextlib.closing(run), watching as observer:
            run.start(as_shipped=True)
            run.work(seconds * 0.2, kills=False)
            while run.figures.songs < WARM:
                run.work(0.5, kills=False)
            run.work_off()
            run.figures.warm, before = run.held(), run.figures.songs
            run.work(seconds * 0.3, kills=False)
            run.work_off()
            run.figures.end, run.figures.between = run.held(), run.figures.songs - before
            _tell(f"calm: {run.figures.songs} songs, {run.figures.warm} -> {run.figures.end}")
            run.work(seconds * 0.5, kills=True)
            _tell(f"killed {run.figures.kills} times: {run.figures.songs} songs")
            run.work_off()
            run.resolve()
            run.end(kill=False)
        return run.judge(observer)


def _tell(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", "--size", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=1)
    result.add_option(parser)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends its processes on its way out
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    figures = soak(root, options.minutes * 60.0, options.seed)
    sys.stdout.write(figures.text() + "\n")
    for line in figures.broken:
        sys.stdout.write(f"BROKEN {line} ({root})\n")
    if not figures.broken:
        shutil.rmtree(root)
    return result.conclude(figures.result(options.minutes), options.json)


if __name__ == "__main__":
    sys.exit(main())
