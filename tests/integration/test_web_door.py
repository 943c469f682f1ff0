"""The listener over real HTTP: who calls its door, how much, how slowly, and how many at once."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from stemwatch import config
from stemwatch.config import Settings, Web
from stemwatch.disks.places import Place
from stemwatch.errors import ConfigFault, JournalFault, PauseService
from stemwatch.job import Job
from stemwatch.journal.journal import Journal
from stemwatch.service.app import Service
from stemwatch.service.opened_folders import opened
from stemwatch.web.connection_limits import MOST
from stemwatch.web.health import POOL_PATIENCE
from stemwatch.web.listening import bound, looked_at, url_of
from stemwatch.web.receiver import MAX_BODY, PATH, callback_url
from stemwatch.web.server import serving
from stemwatch.wiring.working_set import working_set
from stemwatch.workers.pacing.timing import Timing
from tests.acceptance.harness import KEY, Home
from tests.support.waiting import NO_TLS, wait_for_async

PATIENCE = 0.5  # seconds, where the service has five


class Receiver:
    """Keeps what it is given; answers as told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Mapping[str, str], bytes]] = []
        self.answer: int | Exception = 200

    def __call__(self, headers: Mapping[str, str], body: bytes) -> int:
        self.calls.append((headers, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Listener:
    """A service that is put together but moves nothing, and its listener, on a thread's loop."""

    def __init__(self, root: Path) -> None:
        self.receiver = Receiver()
        home = Home(root, "http://127.0.0.1:9/v1", web={"listen": "127.0.0.1:0"})
        self._settings = config.load(os.fspath(home.config), env=home.env())
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.service: Service
        self.url = ""
        self.http = httpx.Client(timeout=10, verify=NO_TLS)

    def __enter__(self) -> Listener:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self.http.close()
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        settings = self._settings
        place = _place(settings)
        config.make_folders(settings)
        with bound(settings.web) as listener:
            assert listener is not None
            self.url = url_of(listener)
            async with working_set(
                settings, key=KEY, places={None: place}, timing=Timing()
            ) as context:
                self.service = Service(settings, context, await opened(settings, Timing(), {}), {})
                health = self.service.health
                async with serving(listener, health, receive=self.receiver, patience=PATIENCE):
                    self._ready.set()
                    await self._stop.wait()

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection that has sent so much."""
        host, port = self.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=10)
        connection.sendall(sent)
        return connection

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        return self.http.post(self.url + PATH, content=body, headers=headers)


def _place(settings: Settings) -> Place:
    folders = settings.folders
    return Place(
        outbox=folders.outbox, inbox=folders.inbox, quarantine=folders.quarantine, archive=None
    )


def head(*lines: str, path: str = PATH) -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: nas", *lines, "", "")).encode()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    with Listener(tmp_path_factory.mktemp("listener")) as listener:
        yield listener


@pytest.fixture
def listener(shared: Listener) -> Listener:
    shared.receiver.calls.clear()
    shared.receiver.answer = 200
    return shared


def test_a_call_is_handed_over_as_it_was_sent(listener: Listener) -> None:
    """Signatures are of bytes: nothing is decoded; names are small, values as they are."""
    body = b'{"event": "job.completed",\r\n "x": "\xff\x00"}'
    with closing(
        listener.connect(
            head("X-StemSplit-Signature: t=1,v1=Ab", "X-Two: a", "X-Two: b",
                 f"Content-Length: {len(body)}", "Connection: close") + body
        )
    ) as call:  # fmt: skip
        answer = _all(call)
    assert answer.startswith(b"HTTP/1.1 200 ")
    ((headers, given),) = listener.receiver.calls
    assert given == body
    assert headers["x-stemsplit-signature"] == "t=1,v1=Ab"
    assert headers["x-two"] == "a, b"


def test_the_receiver_decides_the_answer(listener: Listener) -> None:
    """401 for a forged one, 400 for a stale one: whatever it says; and it is counted."""
    for status in (401, 400, 202):
        listener.receiver.answer = status
        assert listener.post(b"{}").status_code == status
    counted = listener.http.get(listener.url + "/metrics").text
    assert 'stemwatch_webhook_calls_total{status="401"} 1.0' in counted
    assert listener.http.get(listener.url + PATH).status_code == 405


def test_a_receiver_that_fails_is_answered_with_500_and_told_once(
    listener: Listener, capfd: pytest.CaptureFixture[str]
) -> None:
    """The sender tries again; the log is not filled by whoever finds out how to cause it."""
    listener.receiver.answer = RuntimeError("what a call")
    assert [listener.post(b"secret body").status_code for _ in range(3)] == [500] * 3
    told = capfd.readouterr().err
    assert told.count("web.error") == 1
    assert "secret body" not in told
    listener.receiver.answer = 200
    assert listener.post(b"{}").status_code == 200


def test_as_much_as_allowed_and_one_byte_more(listener: Listener) -> None:
    """64 KiB pass; what is larger never reaches the receiver."""
    assert listener.post(bytes(MAX_BODY)).status_code == 200
    assert listener.post(bytes(MAX_BODY + 1)).status_code == 413
    assert [len(body) for _, body in listener.receiver.calls] == [MAX_BODY]


def test_a_promise_of_ten_gigabytes_is_refused_unread(listener: Listener) -> None:
    """Its length says enough."""
    with closing(listener.connect(head("Content-Length: 10000000000"))) as call:
        assert _all(call).startswith(b"HTTP/1.1 413 ")
    assert listener.receiver.calls == []


def test_an_endless_body_is_cut_off(listener: Listener) -> None:
    """Without a length: what was sent when the connection broke is what buffers hold."""
    sent, piece = 0, b"10000\r\n" + bytes(65536) + b"\r\n"
    with closing(listener.connect(head("Transfer-Encoding: chunked"))) as call:
        with suppress(OSError):
            while sent < 200_000_000:
                call.sendall(piece)
                sent += len(piece)
        assert _all(call).startswith(b"HTTP/1.1 413 ")
    assert sent < 20_000_000
    assert listener.receiver.calls == []


def test_who_keeps_us_waiting_is_closed(listener: Listener) -> None:
    """After five seconds (here: half of one), even if a byte drips in all the while."""
    given = {
        "nothing": b"",
        "half a head": b"POST /webhooks",
        "half a body": head("Content-Length: 100") + b"half",
        "idle after an answer": b"GET /healthz HTTP/1.1\r\nHost: nas\r\n\r\n",
    }
    began = time.monotonic()
    calls = {name: listener.connect(sent) for name, sent in given.items()}
    closed: dict[str, float] = {}
    while len(closed) < len(calls):
        assert time.monotonic() - began < 20, f"still open: {calls.keys() - closed.keys()}"
        for name, call in calls.items():
            if name.startswith("half"):
                with suppress(OSError):
                    call.send(b"x")
            if not _is_open(call):
                closed.setdefault(name, time.monotonic() - began)
        time.sleep(0.02)
    for call in calls.values():
        call.close()
    assert min(closed.values()) > 0.6 * PATIENCE
    assert listener.receiver.calls == []


def test_a_crowd_of_idle_connections_keeps_nobody_out(listener: Listener) -> None:
    """Whoever has waited longest makes room for whoever has something to say."""
    took = PATIENCE
    while took >= PATIENCE:  # a busy machine: they were closed for their silence already
        listener.receiver.calls.clear()
        began = time.monotonic()
        crowd = [listener.connect(head("Content-Length: 9")[:30]) for _ in range(MOST + 40)]
        with closing(listener.connect(head("Content-Length: 0", "Connection: close"))) as call:
            assert _all(call).startswith(b"HTTP/1.1 200 ")
        open_ones = sum(map(_is_open, crowd))
        took = time.monotonic() - began
        for idle in crowd:
            idle.close()
    assert 0 < open_ones <= MOST
    assert len(listener.receiver.calls) == 1


def test_a_closed_request_is_no_call(listener: Listener) -> None:
    """Hung up in its middle; the next one is none the worse."""
    listener.connect(head("Content-Length: 9") + b"half").close()
    assert listener.post(b"{}").status_code == 200
    assert [body for _, body in listener.receiver.calls] == [b"{}"]


def test_without_a_page_there_is_nothing_else(listener: Listener) -> None:
    """`web.page` is off: neither it nor its API is there, whatever name is used."""
    for path in ("/", "/api/state", "/static/app.js", "/api/openapi.json"):
        answer = listener.http.get(listener.url + path, headers={"Host": "anything.example"})
        assert answer.status_code == 404


def test_readiness_names_what_is_missing(listener: Listener) -> None:
    """Nothing has looked through this inbox yet; a pause is named, and its own words are not."""
    gate = listener.service.health.context.gate
    gate.pause(PauseService("/music/secret song.mp3 too large", code="room"))
    gate.pause(PauseService("https://api/?sig=abc is down", code="server"))
    try:
        answer = listener.http.get(listener.url + "/readyz")
    finally:
        gate.reopen("room")
        gate.reopen("server")
    assert answer.status_code == 503
    found = json.loads(answer.text)
    assert [reason["code"] for reason in found["reasons"]] == ["first_scan", "room"]
    assert [pause["code"] for pause in found["pauses"]] == ["room", "server"]
    assert "secret" not in answer.text
    assert "sig" not in answer.text


class SickJournal(Journal):
    """Its disk never answers; once `damaged`, it has failed."""

    damaged = False

    async def in_states(self, *_: object, **__: object) -> list[Job]:
        await asyncio.Event().wait()
        return []

    def require_sound(self) -> None:
        if self.damaged:
            raise JournalFault("an fsync failed.")


def test_what_stands_still_is_named(tmp_path: Path) -> None:
    """Pool, journal, watcher, and the end: each by its own word; without them, it is ready."""

    async def look() -> None:
        home = Home(tmp_path, "http://127.0.0.1:9/v1")
        settings = config.load(os.fspath(home.config), env=home.env())
        config.make_folders(settings)
        place = _place(settings)
        async with working_set(settings, key=KEY, places={None: place}, timing=Timing()) as context:
            service = Service(settings, context, await opened(settings, Timing(), {}), {})
            health = service.health
            await health.rounds.prepare()
            rounds = asyncio.create_task(health.rounds.run())
            await wait_for_async(lambda: health.rounds.completed)
            assert health.reasons() == []
            context.journal, well = SickJournal(context.journal.path), context.journal
            pool = asyncio.create_task(service._pool.run())
            await wait_for_async(lambda: service._pool.standstill() > 0)
            assert health.reasons() == []
            since = context.clock()
            context.clock = lambda: since + POOL_PATIENCE + 1
            assert [word.code for word in health.reasons()] == ["pool"]
            context.journal.damaged = True
            assert [word.code for word in health.reasons()] == ["pool", "journal_damaged"]
            context.journal.close()
            context.journal = well
            for task in (pool, rounds):
                task.cancel()
            await asyncio.gather(pool, rounds, return_exceptions=True)
            assert [word.code for word in health.reasons()] == ["watcher", "pool"]
            health.stopping = True
            assert [word.code for word in health.reasons()] == ["stopping", "pool"]

    asyncio.run(look())


def test_a_listener_that_can_t_start_stops_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is told once, and whatever goes on inside goes on."""

    async def work() -> list[str]:
        home = Home(tmp_path, "http://127.0.0.1:9/v1")
        settings = config.load(os.fspath(home.config), env=home.env())
        config.make_folders(settings)
        place, done = _place(settings), []
        async with working_set(settings, key=KEY, places={None: place}, timing=Timing()) as context:
            health = Service(settings, context, await opened(settings, Timing(), {}), {}).health
            with socket.socket(socket.AF_UNIX) as useless:
                async with serving(useless, health):
                    done.append("worked")
        return done

    assert asyncio.run(work()) == ["worked"]
    assert capfd.readouterr().err.count("web.failed") == 1


def test_a_taken_port_is_a_fault_of_the_configuration() -> None:
    """It names the key; `check` says the same, unless it is our own service that has the port."""
    with bound(Web(listen="127.0.0.1:0")) as first:
        assert first is not None
        web = Web(listen=f"127.0.0.1:{first.getsockname()[1]}")
        with (
            pytest.raises(ConfigFault, match=r"web\.listen: 127\.0\.0\.1:\d+ can't be used"),
            bound(web),
        ):
            pass
        with pytest.raises(ConfigFault, match="another program listens there"):
            looked_at(web, running=False)
        assert "this machine only" in (looked_at(web, running=True) or "")
    assert "free" in (looked_at(web, running=False) or "")
    assert looked_at(Web(), running=True) is None
    assert callback_url("https://a.example/x") == f"https://a.example/x{PATH}"


def _is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(65536) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def _all(connection: socket.socket) -> bytes:
    found = b""
    with suppress(ConnectionError):
        while part := connection.recv(65536):
            found += part
    return found
