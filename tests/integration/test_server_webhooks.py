"""Webhooks of the local separation server's first wire: registered, or brought along by a job."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.clustered import one_process, server_or_cluster
from tests.support.server import Server, fetched
from tests.support.waiting import wait_for
from tests.support.webhook_receiver import Call, Receiver

pytestmark = pytest.mark.xdist_group("webhooks")  # they share a server

SECRET = "of-the-server"  # noqa: S105


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    room = tmp_path_factory.mktemp("local")
    (room / "hush").touch(0o600)
    (room / "hush").write_text(f"{SECRET}\n")
    options = ("--jobs", "1", "--webhook-secret-file", str(room / "hush"))
    with server_or_cluster(room / "data", *options, engine="moody") as server:
        (server.room / "mood").write_text("0")
        yield server


def assert_signed(call: Call, secret: str) -> None:
    fields = dict(one.split("=", 1) for one in call.headers["x-stemsplit-signature"].split(","))
    assert abs(time.time() - int(fields["t"])) < 60
    message = fields["t"].encode() + b"." + call.body
    assert fields["v1"] == hmac.new(secret.encode(), message, sha256).hexdigest()


def test_a_job_brings_its_own(server: Server) -> None:
    """Called at its end with what came of it, signed with the server's secret."""
    with Receiver() as receiver:
        job_id = server.submit(webhook_url=f"{receiver.url}/hook").json()["job_id"]
        wait_for(lambda: receiver.calls, what="a webhook")
        (call,) = receiver.calls
    assert_signed(call, SECRET)
    told = json.loads(call.body)
    assert (told["job_id"], told["status"], told["bpm"], told["key"]) == (
        job_id,
        "completed",
        120.0,
        "C# minor",
    )
    assert told["duration_seconds"] == pytest.approx(0.5, abs=0.01)
    assert sorted(told["stems"]) == ["instrumental", "vocals"]
    assert fetched(told["stems"]["vocals"]).status_code == 200


def test_a_failure_is_told(server: Server) -> None:
    """With its reason, in the engine's words."""
    (server.room / "mood").write_text("refuse")
    with Receiver() as receiver:
        server.submit(webhook_url=receiver.url)
        wait_for(lambda: receiver.calls, what="a webhook")
    (server.room / "mood").write_text("0")
    told = json.loads(receiver.calls[0].body)
    assert (told["status"], "taste" in told["error"]) == ("failed", True)


@one_process
def test_a_registered_url_is_told_of_every_job(server: Server) -> None:
    """Also of one that names it; once, with the secret of the registration, the same each time."""
    with Receiver() as receiver:
        made = server.http.post("/webhooks", json={"url": receiver.url})
        again = server.http.post("/webhooks", json={"url": receiver.url})
        assert (made.status_code, again.status_code) == (201, 200)
        assert made.json() == again.json()
        jobs = [
            server.submit().json()["job_id"],
            server.submit(webhook_url=receiver.url).json()["job_id"],
        ]
        wait_for(lambda: len(receiver.calls) >= 2, what="two webhooks")
        for job_id in jobs:
            path = server.data_dir / "jobs" / job_id / "job.json"
            wait_for(lambda path=path: json.loads(path.read_text())["untold"] == [], what="peace")
    assert [json.loads(call.body)["job_id"] for call in receiver.calls] == jobs
    for call in receiver.calls:
        assert_signed(call, made.json()["secret"])
    path = f"/webhooks/{made.json()['id']}"
    assert [server.http.delete(path).status_code for _ in range(2)] == [200, 404]


@pytest.mark.parametrize(
    "body", [{}, {"url": 5}, {"url": "http://example.org/"}, {"url": "https://xn--/"}, []]
)
def test_bad_registrations_are_refused(server: Server, body: object) -> None:
    """With a sentence that says which field is wrong."""
    answer = server.http.post("/webhooks", json=body)
    assert (answer.status_code, list(answer.json())) == (422, ["error"])


def test_a_webhook_waits_out_a_restart(tmp_path: Path) -> None:
    """Not taken before a kill, it is sent again after it; the queue never waited for it."""
    with Receiver((500,)) as receiver:

        def told() -> set[str]:
            return {json.loads(call.body)["job_id"] for call in receiver.calls[before:]}

        with Server(tmp_path / "data") as server:
            server.http.post("/webhooks", json={"url": receiver.url})
            job_id = server.submit().json()["job_id"]
            wait_for(lambda: receiver.calls, what="a first try")
            other = server.submit().json()["job_id"]
            assert server.ended(other)["status"] == "completed"
        before = len(receiver.calls)
        receiver.answer(200)
        with Server(tmp_path / "data"):
            wait_for(lambda: told() == {job_id, other}, what="both webhooks")


def test_a_url_that_cannot_be_read_ends_no_server(tmp_path: Path) -> None:
    """Neither a registered one nor a redirect's: both are calls that failed, after a restart too.

    An `xn--` that is none raises a UnicodeError in httpx, where its other faults are its own.
    """
    data = tmp_path / "data"
    data.mkdir()
    kept = data / "webhooks.json"

    def told(least: int) -> bool:
        known = json.loads(kept.read_text())
        return all(one.get("fail_count", 0) >= least for one in known)

    with Receiver((302,), location="https://xn--/") as receiver:
        one = {"wire": "separate", "events": ["job.completed"], "secret": "s", "created_at": 1.0}
        urls = ("https://xn--/", receiver.url)  # the first: as an older version let it in
        kept.write_text(json.dumps([{**one, "id": f"wh_{url}", "url": url} for url in urls]))
        with Server(data) as server:
            server.submit()
            wait_for(lambda: told(1), what="two failed calls")
            assert server.http.get("/health").status_code == 200
        before = max(one["fail_count"] for one in json.loads(kept.read_text()))
        with Server(data) as server:
            wait_for(lambda: told(before + 1), what="two more")
            assert server.http.get("/health").status_code == 200
