"""Webhooks out: delivered over real HTTP to a receiver that behaves as told."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from stemwatch.errors import ConfigFault
from stemwatch.receiving.refusal import Refused
from stemwatch.server.webhooks.outgoing import OF_ONE, Callbacks
from stemwatch.server.webhooks.owing import ITS_OWN
from stemwatch.server.webhooks.registrations import Registration, Registrations, check_url
from stemwatch.server.work.job_files import Files
from stemwatch.server.work.json_records import JsonRecords
from stemwatch.server.work.record import Record
from tests.support.waiting import wait_for_async
from tests.support.webhook_receiver import Call, Receiver

NOW = 1_000_000.9


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JsonRecords]:
    store = JsonRecords(Files(str(tmp_path / "data")))
    yield store
    store.close()


@pytest.fixture
def registrations(store: JsonRecords) -> Registrations:
    return Registrations(os.path.join(store.files.root, "webhooks.json"), now=lambda: NOW)


class Room:
    """Callbacks that wait for nothing but note how long they would; a job that has ended."""

    def __init__(
        self, store: JsonRecords, registrations: Registrations, secret: str | None
    ) -> None:
        self.store, self.registrations = store, registrations
        self.waits: list[float] = []
        self.lines: list[str] = []
        self.broken: list[BaseException] = []
        self.callbacks = Callbacks(
            store,
            registrations,
            payloads={
                "separate": lambda record: {"job_id": record.id, "status": record.state},
                "presigned": lambda record: {"event": f"job.{record.state}"},
            },
            secret=secret,
            now=lambda: NOW,
            report=self.lines.append,
            broken=self.broken.append,
            waits=(1.0, 5.0),
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def ended(self, **changes: object) -> Record:
        job_id, folder = self.store.files.begin()
        Path(folder, "input.wav").write_bytes(b"audio")
        record = Record(job_id, "a.wav", "input.wav", 2, "wav", "copy", 1.0, state="completed")
        record = record.evolve(finished_at=2.0, **changes)
        record = record.evolve(untold=self.callbacks.due(record))
        asyncio.run(self.store.add(record))
        return record

    def tell(self, record: Record) -> None:
        """Until nobody is left to be told."""

        async def main() -> None:
            self.callbacks.put(record)
            await wait_for_async(lambda: not self.untold(record), what="the last call")
            await self.callbacks.stop()

        asyncio.run(main())
        assert self.broken == []

    def untold(self, record: Record) -> tuple[str, ...]:
        now = self.store._records.get(record.id)
        return () if now is None else now.untold


def signed(call: Call, secret: str) -> bool:
    """By both schemes, worked out from their description."""
    if "x-webhook-signature" in call.headers:
        expected = hmac.new(secret.encode(), call.body, sha256).hexdigest()
        return call.headers["x-webhook-signature"] == f"sha256={expected}"
    expected = hmac.new(secret.encode(), b"1000000." + call.body, sha256).hexdigest()
    return call.headers["x-stemsplit-signature"] == f"t=1000000,v1={expected}"


def test_everybody_is_told_in_the_form_of_his_wire(
    store: JsonRecords, registrations: Registrations
) -> None:
    """A registration of each wire, and the job's own URL; each signed with its own secret."""
    with Receiver() as receiver:
        room = Room(store, registrations, "hush")
        a = registrations.add("separate", f"{receiver.url}/a")
        b = registrations.add("presigned", f"{receiver.url}/b", ["job.completed"])
        registrations.add("presigned", f"{receiver.url}/c", ["job.failed"])
        record = room.ended(webhook_url=f"{receiver.url}/own")
        assert record.untold == (a.id, b.id, ITS_OWN)
        room.tell(record)
        calls = {call.path: call for call in receiver.calls}
    assert len(receiver.calls) == 3
    assert signed(calls["/a"], a.secret)
    assert signed(calls["/b"], b.secret)
    assert signed(calls["/own"], "hush")
    assert json.loads(calls["/own"].body) == {"job_id": record.id, "status": "completed"}
    assert json.loads(calls["/b"].body) == {"event": "job.completed"}
    assert calls["/b"].headers["user-agent"].startswith("stemwatch/")
    assert room.waits == [0.0] * 3


def test_a_job_s_own_url_that_is_registered_is_called_once(
    store: JsonRecords, registrations: Registrations
) -> None:
    """Then with the registration's secret: the server's is not needed, and not used."""
    with Receiver() as receiver:
        assert not asyncio.run(registrations.signed(""))(receiver.url)
        known = registrations.add("separate", receiver.url)
        assert asyncio.run(registrations.signed(""))(receiver.url)
        room = Room(store, registrations, "hush")
        room.tell(room.ended(webhook_url=receiver.url))
    assert [signed(call, known.secret) for call in receiver.calls] == [True]


def test_a_call_is_repeated_until_it_is_taken(
    store: JsonRecords, registrations: Registrations
) -> None:
    """A refusal and a broken connection are tried again, later and later."""
    with Receiver((500, 0, 204)) as receiver:
        room = Room(store, registrations, None)
        known = registrations.add("presigned", receiver.url)
        room.tell(room.ended())
    assert (len(receiver.calls), room.waits, room.lines) == (3, [0.0, 1.0, 5.0], [])
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1
    noted = registrations.get(known.id)
    assert noted is not None
    assert (noted.fail_count, noted.last_error, noted.last_called_at) == (0, None, NOW)


def test_a_call_that_can_not_be_noted_is_repeated(
    store: JsonRecords, registrations: Registrations
) -> None:
    """On a full disk the first call that failed was the last one."""
    with Receiver((500, 200)) as receiver:
        room = Room(store, registrations, None)
        registrations.add("presigned", receiver.url)
        record = room.ended()
        Path(store.files.root, "webhooks.json.part").mkdir()
        room.tell(record)
    assert (len(receiver.calls), room.lines) == (2, [])


def test_one_receiver_does_not_take_all_connections(
    store: JsonRecords, registrations: Registrations
) -> None:
    """A hundred calls that nobody answered kept every other from being made in its time."""
    most = busy = 0

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most, busy
        busy += 1
        most = max(most, busy)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.05)  # others would come meanwhile
        busy -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(take, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        room = Room(store, registrations, None)
        registrations.add("presigned", url)
        records = [await asyncio.to_thread(room.ended) for _ in range(6)]
        for record in records:
            room.callbacks.put(record)
        await wait_for_async(lambda: not any(map(room.untold, records)), what="the last call")
        await room.callbacks.stop()
        server.close()

    asyncio.run(main())
    assert most == OF_ONE


def test_a_redirect_is_not_followed_and_patience_ends(
    store: JsonRecords, registrations: Registrations
) -> None:
    """Given up after the last wait; said once, without the URL, which may be a secret."""
    with Receiver((307,)) as receiver:
        room = Room(store, registrations, None)
        known = registrations.add("presigned", f"{receiver.url}/token")
        room.tell(room.ended())
    assert {call.path for call in receiver.calls} == {"/token"}
    assert (len(receiver.calls), len(room.lines)) == (3, 1)
    assert "HTTP 307" in room.lines[0]
    assert "token" not in room.lines[0]
    noted = registrations.get(known.id)
    assert noted is not None
    assert (noted.fail_count, noted.last_error) == (3, "HTTP 307")


def test_nobody_there_is_no_fault_of_ours(store: JsonRecords, registrations: Registrations) -> None:
    """A refused connection is tried again like any other failure."""
    with Receiver() as receiver:
        url = receiver.url
    room = Room(store, registrations, "hush")
    room.tell(room.ended(webhook_url=url))
    assert room.waits == [0.0, 1.0, 5.0]
    assert "ConnectError" in room.lines[0]


def test_a_restart_goes_on_telling(store: JsonRecords, registrations: Registrations) -> None:
    """Who was not told before a kill is told after it; who was, is not told again."""
    with Receiver() as receiver:
        registrations.add("presigned", receiver.url)
        record = Room(store, registrations, None).ended()
        store.close()
        store.__init__(store.files)  # type: ignore[misc]

        async def start() -> None:
            room.callbacks.start()
            await wait_for_async(lambda: not room.untold(record), what="the call")
            room.callbacks.start()
            await room.callbacks.stop()

        room = Room(store, Registrations(registrations._path, now=lambda: NOW), None)
        asyncio.run(start())
    assert len(receiver.calls) == 1


@pytest.mark.parametrize("gone", ["job", "registration", "expired"])
def test_who_is_gone_is_not_called(
    store: JsonRecords, registrations: Registrations, gone: str
) -> None:
    """A deleted job or registration ends the calls without a word."""
    with Receiver() as receiver:
        room = Room(store, registrations, None)
        known = registrations.add("presigned", receiver.url)
        record = room.ended()
        if gone == "job":
            asyncio.run(store.remove(record))
        elif gone == "expired":
            asyncio.run(store.expire(record))
        else:
            registrations.remove(known.id)
        room.tell(record)
    assert (receiver.calls, room.lines) == ([], [])


def test_registrations_are_kept_private(store: JsonRecords, registrations: Registrations) -> None:
    """On disk with their secrets, for the owner's eyes only; the same after a restart."""
    path = os.path.join(store.files.root, "webhooks.json")
    known = registrations.add("presigned", "https://example.org/")
    registrations.called(known.id, "HTTP 500")
    registrations.called("wh_unknown", None)
    assert known.secret.startswith("whsec_")
    assert os.stat(path).st_mode & 0o777 == 0o600
    again = Registrations(path, now=lambda: NOW)
    assert again.all() == registrations.all()
    assert [type(one) for one in again.all()] == [Registration]
    again.remove(known.id)
    assert Registrations(path, now=lambda: NOW).all() == []


@pytest.mark.parametrize("content", ["", "[", "[1]", '[{"id": "x"}]', "{}x"])
def test_damaged_registrations_stop_the_start(tmp_path: Path, content: str) -> None:
    """They hold secrets that only the clients know else: never replaced by an empty list."""
    (tmp_path / "webhooks.json").write_text(content)
    with pytest.raises(ConfigFault, match=r"webhooks\.json"):
        Registrations(str(tmp_path / "webhooks.json"), now=lambda: NOW)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a?b=c",
        "https://nas.lan:8443/",
        "http://127.0.0.1:80/",
        "http://[::1]:1/",
        "http://localhost/x",
    ],
)
def test_good_urls(url: str) -> None:
    """https to anywhere, plain http to this machine."""
    check_url(url, "url")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "http://example.org/",
        "http://10.0.0.1/",
        "http://localhost.example.org/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://",
        "https://user:password@example.org/",
        "https://example.org:99999/",
        "https://example.org/\n",
        "https://example.org/ x",
        "https://[::1",
        "https://example.org/" + "x" * 3000,
    ],
)
def test_bad_urls(url: str) -> None:
    """Anything else is refused by the field's name."""
    with pytest.raises(Refused, match="'url'"):
        check_url(url, "url")
