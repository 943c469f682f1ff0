"""The key and the tokens of signed URLs appear nowhere, whatever fails and whoever repeats them."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pytest

from tests.acceptance.harness import SCALED, Home, Service
from tests.acceptance.songs import drop
from tests.faults.telling import TOKEN
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

KEY = "sk-canary-SECRETS+/0123456789=abcdef"
SIGNED = f"https://storage.example/a.wav?X-Amz-Signature={TOKEN}&X-Amz-Expires=3600"
ECHO = f"bad key: Authorization: Bearer {KEY} for {SIGNED}"
TELLING = [sys.executable, "-m", "tests.faults.telling"]


class Processes:
    """What everybody can read of every child of a process, all the time: arguments, environment."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.seen: dict[int, bytes] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            self.look()

    def look(self) -> None:
        try:
            process = psutil.Process(self.pid)
            self.seen[self.pid] = _read(self.pid, "cmdline")  # its own environment may hold the key
            for child in process.children(recursive=True):
                # Between fork and exec a child still has its parent's: the last look counts.
                self.seen[child.pid] = _read(child.pid, "cmdline") + _read(child.pid, "environ")
        except (psutil.Error, OSError):
            return

    def __enter__(self) -> Processes:
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


def _read(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def assert_nowhere(root: Path, secrets: list[str], *more: tuple[str, bytes]) -> None:
    """In no file below `root` (the journal and its WAL too), no name, and none of `more`."""
    looked = [(str(path), data) for path, data in _files(root)] + list(more)
    found = [
        f"{secret!r} in {where}: {data[max(0, at - 200) : at + 100]!r}"
        for where, data in looked
        for secret in secrets
        if (at := data.find(secret.encode())) >= 0 or (at := where.find(secret)) >= 0
    ]
    assert not found, "\n".join(found[:10])
    assert not [where for where, _ in looked if re.search(r"/core(\.\d+)?$", where)]


def _files(root: Path) -> Iterator[tuple[Path, bytes]]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            try:
                if path.is_fifo():  # the service's doorbell holds nothing, and a reader would wait
                    continue
                yield path, path.read_bytes()
            except OSError:
                continue  # a part that was just published


def tokens(*servers: ScenarioServer) -> list[str]:
    """The signature of every URL that was given out and used."""
    targets = [str(entry["target"]) for server in servers for entry in server.log]
    return sorted({found for t in targets for found in re.findall(r"signature=(\w+)", t)})


def repeated(**more: Any) -> dict[str, Any]:
    """An answer that repeats the key and a signed URL wherever there is room."""
    headers = {"X-Request-Id": KEY, "WWW-Authenticate": f"Bearer {KEY}", "Retry-After": "0"}
    body = {"error": {"message": ECHO, "code": KEY}, "message": ECHO, "purchaseUrl": SIGNED}
    return {"headers": headers, "body": body, **more}


PAGE = f"<html><pre>POST /separate\nAuthorization: Bearer {KEY}\n{SIGNED}</pre></html>"
POSTS: list[dict[str, Any]] = [
    repeated(status=401),
    repeated(status=500),
    repeated(status=402),
    {"status": 503, "body": PAGE},
    {"reset": "body"},
    {"reset": "head"},
    repeated(status=429),
    repeated(status=422),  # one into quarantine
    {"redirect": SIGNED, "status": 307},
]
BY_NAME: dict[str, Any] = {
    "told.wav": {
        "get": [
            repeated(status=500),
            repeated(status=401),
            {"status": 200, "body": PAGE},
            {"reset": "answer"},
            {"merge": {"key": KEY, "engine": KEY, "error": ECHO, KEY: KEY}},
        ]
    },
    "failed.wav": {"plan": {"plan": "failed", "error": ECHO}},
    "broken.wav": {
        "download": [
            {"status": 403, "body": PAGE},
            {"length": 10},
            {"reset": "answer"},
            {"status": 503, "body": PAGE},
            {"redirect": f"{{origin}}/stems/none?token={TOKEN}"},
        ]
    },
    "abroad.wav": {
        "download": [{"redirect": SIGNED.replace("https", "http"), "times": 2}],
    },
}
SONGS = ("told.wav", "failed.wav", "broken.wav", "abroad.wav", "fine.wav", "refused.wav")


@pytest.fixture
def servers() -> Iterator[tuple[ScenarioServer, ScenarioServer]]:
    """An API and the storage that its stems are on."""
    with ScenarioServer() as storage, ScenarioServer(key=KEY, job_seconds=0.1) as api:
        api.scenario(stem_origin=storage.origin, post=POSTS, by_name=BY_NAME)
        yield api, storage


def _ended(home: Home, service: Service, count: int) -> None:
    def ended() -> bool:
        assert service.process.poll() is None, service.text()[-4000:]
        return home.journal_count("done") + home.journal_count("quarantined") >= count

    wait_for(ended, timeout=60, every=0.05, what=f"{count} ends")


def test_the_service_keeps_its_secrets(
    tmp_path: Path, servers: tuple[ScenarioServer, ScenarioServer]
) -> None:
    """Success, refusals that repeat the key, unforeseen faults, quarantine and retry: nothing."""
    api, storage = servers
    home = Home(
        tmp_path / "home", api.url, separation={"mixes": {"both": ["vocals", "instrumental"]}}
    )
    outputs: list[tuple[str, bytes]] = []
    # The storage's steps are by name too; its jobs are the API's.
    storage.routes.ledger.jobs = api.routes.ledger.jobs
    storage.scenario(by_name=BY_NAME)

    def ask(*arguments: str) -> None:
        done = home.command(*arguments, "-c", str(home.config), key=KEY)
        outputs.append(
            (" ".join(arguments), (done.stdout + done.stderr).encode("utf-8", "replace"))
        )

    for number, name in enumerate(SONGS):
        drop(home.inbox / name, number)
    port = int(storage.origin.rsplit(":", 1)[1])
    # A doubled wait after each refused key, bill and redirect would be most of the test.
    command = [*SCALED, "0.02", str(home.config), "account_max=0.2"]
    with Service(home, command, KEY) as service, Processes(service.process.pid) as processes:
        _ended(home, service, len(SONGS))
        ask("status", "--json")
        ask("retry", "--all", "--yes")
        _ended(home, service, len(SONGS))
        # "failed" and "abroad" never are; "broken" is not if the one 422 met it the first time.
        assert home.journal_count("done") >= 3
    told = [*TELLING, str(tmp_path / "secrets"), str(port), "1", "scaled", "0.02", str(home.config)]
    drop(home.inbox / "unforeseen.wav", 77)
    with Service(home, told, KEY) as service:
        event = service.wait_for_event("job.error")
        assert "RuntimeError" in event["exception"]
        ask("status")
        wait_for(lambda: (home.outbox / "unforeseen").exists(), timeout=90, what="its end")
    assert api.requests("post"), "nothing was asked"
    given = tokens(api, storage)
    assert given, "no signed URL was used"
    assert len(processes.seen) > 1, "no helper was seen"
    more = [(f"process {pid}", data) for pid, data in processes.seen.items()]
    assert_nowhere(home.root, [KEY, TOKEN, *given], *outputs, *more)
    with closing(sqlite3.connect(home.state / "journal.sqlite3")) as db:
        codes = {row[0] for row in db.execute("SELECT DISTINCT note FROM history")}
    assert {"unprocessable", "separation_failed", "forbidden_url"} <= codes, codes


def test_split_keeps_its_secrets(
    tmp_path: Path, servers: tuple[ScenarioServer, ScenarioServer]
) -> None:
    """`split` says on the terminal why something failed, without what the server repeated."""
    api, storage = servers
    storage.routes.ledger.jobs = api.routes.ledger.jobs
    api.scenario(post=[repeated(status=422), repeated(status=500)])
    home = Home(tmp_path / "home", api.url)
    for number, name in enumerate(("failed.wav", "fine.wav", "other.wav")):
        drop(home.root / "songs" / name, number)
    arguments = ("split", str(home.root / "songs"), "-o", str(home.root / "stems"))
    done = home.command(*arguments, "-c", str(home.config), key=KEY)
    assert done.returncode == 3, done.stdout + done.stderr
    said = (done.stdout + done.stderr).encode()
    assert_nowhere(home.root, [KEY, TOKEN, *tokens(api, storage)], ("terminal", said))


@pytest.mark.parametrize("command", ["run", "split"])
def test_the_local_server_s_key_stays_with_it(tmp_path: Path, command: str) -> None:
    """The key that `--local` makes for its server is in no argument, environment, file or log."""
    home = Home(tmp_path / "home", "local")
    song = drop(home.inbox / "song.wav", 5)
    secrets = tmp_path / "secrets"
    arguments = {
        "run": ["run", "--local", "--once", "-c", str(home.config)],
        "split": ["split", str(song), "--local", "-o", str(home.outbox), "-c", str(home.config)],
    }[command]
    service = Service(home, [*TELLING, str(secrets), "0", "0", *arguments], KEY)
    with Processes(service.process.pid) as processes:
        code = service.process.wait(60)
    service.__exit__(None, None, None)
    assert code == 0, service.text()
    assert home.sidecars(), service.text()
    key = secrets.read_text()
    assert len(key) > 30
    assert any(b"stemwatch.server" in data for data in processes.seen.values()), processes.seen
    more = [(f"process {pid}", data) for pid, data in processes.seen.items()]
    assert_nowhere(home.root, [key, KEY], *more)
