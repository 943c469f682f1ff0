"""The sample of `hostile` that goes the whole way: the real service against a hostile API.

`python -m tests.faults.hostile_service FILE` is that service, with an audit hook: whatever would
leave this machine (a connection, or the question for a name) is refused and written to `attempts`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from stemwatch import config, log
from stemwatch.config.api_key import load_key
from stemwatch.service.app import run_service
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import Home, Service
from tests.acceptance.songs import wav_bytes
from tests.faults.grammar import ESCAPED, KNOWN, Hostile
from tests.faults.hostile import CANARY, Figures
from tests.support.scenario.stems import tone, wav_header
from tests.support.scenario.wire import Request, read_request
from tests.support.waiting import wait_for

FACTOR = 0.01
_COMMAND = [sys.executable, "-m", "tests.faults.hostile_service"]
_IDS = ("../../../escaped", "a/b/../../c", "..%2f..%2fescaped", "\u202eid", " ", "x" * 200, "j?a#b")


class HostileApi:
    """Takes every song, under a hostile id; its stems are sound, and everything else is not."""

    def __init__(self, seed: int, figures: Figures) -> None:
        self.seed, self.figures = seed, figures
        self.port = 0
        self._cases: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> HostileApi:
        self._thread.start()
        assert self._ready.wait(10), "the hostile API did not start"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._stop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await read_request(reader)
            if request is not None:
                writer.write(await self._answer(request))
                await writer.drain()
        except (OSError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request) -> bytes:
        if request.method == "POST":
            await request.drain()
            return self._accept()
        name = unquote(request.target.partition("?")[0].removeprefix("/v1/jobs/"))
        if request.path.startswith("/stem/"):
            return self._stem(request)
        if name in self._cases:
            return self._job(name)
        return b"HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def _case(self, number: int) -> Hostile:
        return Hostile(self.seed, number, (self.port, self.port, self.port))

    def _accept(self) -> bytes:
        number = len(self._cases)
        remote_id = f"{_IDS[number % len(_IDS)]}{number}"[-200:]
        self._cases[remote_id] = number
        return _json({"job_id": remote_id, "status": "processing"})

    def _job(self, remote_id: str) -> bytes:
        """Half of them come with stems that can be had, whatever is said beside them."""
        number = self._cases[remote_id]
        asked = self._asked[remote_id] = self._asked.get(remote_id, 0) + 1
        case = self._case(number * 1000 + asked)
        data: Any = case.job(remote_id)
        if number % 2 == 0:
            base = f"http://127.0.0.1:{self.port}/stem/{number}"
            stems = data["stems"] if isinstance(data["stems"], dict) else {}
            stems |= {name: f"{base}/{name}?token=signed" for name in KNOWN}
            data |= {"job_id": remote_id, "status": "completed", "stems": stems}
            return _json(data)
        return case.json_answer(remote_id)

    def _stem(self, request: Request) -> bytes:
        if CANARY in f"{request.target}{request.headers}" and "authorization" in request.headers:
            self.figures.leaked += 1
            self.figures.fault(f"the key at a stem's address: {request.target!r}")
        frames = 44_100
        body = wav_header(frames) + tone(request.path)[: frames * 4]
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n" % len(body)
        return head + b'Content-Disposition: attachment; filename="../../escaped"\r\n\r\n' + body


def _json(data: Any) -> bytes:
    body = json.dumps(data).encode("utf-8", "surrogatepass")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    return head + body


def whole_way(songs: int, seed: int, figures: Figures, sandbox: Path) -> None:
    """Deliver (or quarantine) `songs` songs; `sandbox` is the folder whose tree is watched."""
    root = sandbox / "a" / "b" / "home"
    for folder in (sandbox, sandbox / "a", sandbox / "a" / "b"):
        folder.mkdir(exist_ok=True)
        (folder / "neighbour.txt").write_text("somebody else's")
    with HostileApi(seed, figures) as api:
        home = Home(root, f"http://127.0.0.1:{api.port}/v1", log={"level": "debug"})
        for number in range(songs):
            (home.inbox / f"song {number}.wav").write_bytes(wav_bytes(number, seconds=1.0))
        before = set(_tree(sandbox))
        with Service(home, [*_COMMAND, str(home.config)], CANARY) as service:

            def ended() -> bool:
                assert service.process.poll() is None, service.text()[-4000:]
                counts = (home.journal_count(state) for state in ("done", "quarantined"))
                return sum(counts) >= songs and not home.waiting()

            try:
                wait_for(ended, timeout=60 + songs * 4, every=0.2, what="the end of all songs")
            except AssertionError as fault:
                figures.fault(str(fault))
            text = service.text()
        _judge(home, sandbox, before, text, songs, figures)


def _judge(
    home: Home, sandbox: Path, before: set[Path], text: str, songs: int, figures: Figures
) -> None:
    own = (home.outbox, home.state, home.quarantine, home.archive, home.inbox)
    for path in set(_tree(sandbox)) ^ before:
        if not any(path == folder or folder in path.parents for folder in own):
            if path.parent == home.root and path.name.startswith("service-"):
                continue
            figures.outside += 1
            figures.fault(f"{path} appeared or vanished")
    if os.path.lexists(ESCAPED):
        figures.outside += 1
        figures.fault(f"{ESCAPED} appeared")
    for folder, sidecar in home.sidecars().items():
        figures.whole_way += 1
        figures.ends["delivered"] += 1
        stems = sorted(stem["id"] for stem in sidecar["stems"])
        there = sorted(os.listdir(home.outbox / folder))
        named = sorted([*(s["file"] for s in sidecar["stems"]), f"{folder}.stemwatch.json"])
        if stems != sorted(KNOWN) or there != named:
            figures.fault(f"{folder} holds {there}, of stems {stems}")
    for reason in home.reasons().values():
        figures.whole_way += 1
        figures.ends[f"quarantined {reason['code']}"] += 1
        if reason["code"] == "internal":
            figures.fault(f"an unexpected fault: {reason['message']}")
    if "job.error" in text:
        at = text.index("job.error")
        figures.fault(f"an unexpected fault: {text[max(0, at - 1500) : at + 500]}")
    attempts = home.root / "attempts"
    for attempt in attempts.read_text().splitlines() if attempts.exists() else ():
        kind, _, what = attempt.partition(" ")
        if kind == "connect":
            figures.forbidden += 1
            figures.fault(f"the service connects to {what}")
    if figures.whole_way != songs:
        figures.fault(f"of {songs} songs {figures.whole_way} came to an end")


def _tree(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder) / name
            if name != "attempts":
                yield path


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and arguments[0].family in {2, 10}:
        address = str(arguments[1][0])
        if address != "127.0.0.1":
            _note(f"connect {address}")
            raise ConnectionRefusedError(111, "refused by the harness")
    if event == "socket.getaddrinfo":
        host = str(arguments[0])
        if host and not set(host) <= set("0123456789abcdefxABCDEFX.:%"):
            _note(f"resolve {host!r}")
            raise ConnectionRefusedError(111, "refused by the harness")


def _note(line: str) -> None:
    with open("attempts", "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{line}\n")


def _main(path: str) -> int:
    sys.addaudithook(_guard)
    settings = config.load(path, env=os.environ)
    key = load_key(settings, env=os.environ, cwd=os.getcwd())
    log.configure(settings.log.level, settings.log.format, secrets=[key] if key else [])
    return asyncio.run(run_service(settings, key=key, timing=Timing().scaled(FACTOR)))


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
