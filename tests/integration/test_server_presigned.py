"""The local separation server's presigned wire, over real HTTP; each answer is validated."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clustered import server_or_cluster
from tests.support.presigned import Presigned
from tests.support.server import Server, tone
from tests.support.waiting import wait_for

pytestmark = pytest.mark.xdist_group("presigned")  # they share a server

KEY = "a-key-for-tests"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_or_cluster(
        tmp_path_factory.mktemp("local") / "data", "--jobs", "1", key=KEY
    ) as server:
        yield server


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[Presigned]:
    with Presigned(server, KEY) as api:
        yield api


def fault(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def declared(ticket: dict[str, Any], length: int) -> httpx.Response:
    """What is answered to a body that is announced, and not sent."""
    url = httpx.URL(ticket["uploadUrl"])
    connection = http.client.HTTPConnection(url.host, url.port, timeout=20)
    connection.putrequest("PUT", url.raw_path.decode())
    connection.putheader("Content-Type", ticket["contentType"])
    connection.putheader("Content-Length", str(length))
    connection.endheaders()
    with contextlib.closing(connection):
        answer = connection.getresponse()
        return httpx.Response(answer.status, content=answer.read())


def test_a_song_becomes_stems(api: Presigned) -> None:
    """Ticket, upload, job, stems: with the fields of the document, and tempo and key."""
    ticket = api.ticket("Été.wav", contentType="audio/wav")
    assert (ticket["maxFileSizeMb"], ticket["maxFileSizeBytes"]) == (100, 100 * 2**20)
    sound = tone(1.4)
    assert api.put(ticket, sound).status_code == 200
    answer = api.create(ticket["uploadKey"], fileName="Été.wav", metadata={"token": "a1"})
    made = answer.json()
    assert (answer.status_code, made["status"] in ("PENDING", "PROCESSING")) == (201, True)
    assert (made["creditsRequired"], made["estimatedSeconds"]) == (2, 1)
    expected_input = {"fileName": "Été.wav", "durationSeconds": 1, "fileSizeBytes": len(sound)}
    assert made["input"] == expected_input
    job = api.ended(made["id"])
    assert (job["status"], job["progress"], job["creditsCharged"]) == ("COMPLETED", 100, 2)
    assert job["options"] == {"outputType": "BOTH", "quality": "BEST", "outputFormat": "WAV"}
    assert job["audioMetadata"] == {
        "bpm": 120.0,
        "key": "C#m",
        "bpmConfidence": 0.9,
        "keyConfidence": 0.8,
        "tuningCents": -12.5,
        "firstBeatSeconds": 0.25,
    }
    assert job["metadata"] == {"token": "a1"}
    assert list(job["outputs"]) == ["vocals", "instrumental"]
    assert job["createdAt"] <= job["startedAt"] <= job["completedAt"] < job["expiresAt"]
    stem = api.storage.get(job["outputs"]["vocals"]["url"])
    with wave.open(io.BytesIO(stem.content)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(1.4, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "stems"),
    [
        ("VOCALS", ["vocals"]),
        ("INSTRUMENTAL", ["instrumental"]),
        ("SIX_STEMS", ["vocals", "drums", "bass", "other", "guitar", "piano"]),
    ],
)
def test_only_what_was_asked_for_is_delivered(
    api: Presigned, server: Server, kind: str, stems: list[str]
) -> None:
    """A job for one stem gives that one, also on the other wire, and keeps no other on disk."""
    job = api.ended(api.create(outputType=kind).json()["id"])
    assert (list(job["outputs"]), job["options"]["outputType"]) == (stems, kind)
    assert list(server.job(job["id"])["stems"]) == stems

    def kept() -> set[str]:
        return {name.partition(".")[0] for name in server.kept(job["id"])}

    wait_for(lambda: kept() == set(stems), what="the end of its input")


def test_a_job_is_the_same_on_both_wires(api: Presigned, server: Server) -> None:
    """What one wire made, the other shows."""
    job_id = server.submit(stems="4").json()["job_id"]
    job = api.ended(job_id)
    assert job["options"] == {"outputType": "FOUR_STEMS", "quality": "BEST", "outputFormat": "WAV"}
    assert (job["creditsCharged"], job["input"]["fileName"]) == (1, "song.wav")
    assert api.http.get("/jobs", params={"limit": 1}).json()["jobs"][0]["id"] == job_id


def test_urls_are_fresh_each_time(api: Presigned) -> None:
    """Each look at a job mints new URLs, with their own ends."""
    job_id = api.create().json()["id"]
    first = api.ended(job_id)["outputs"]["vocals"]
    wait_for(
        lambda: api.job(job_id)["outputs"]["vocals"]["expiresAt"] > first["expiresAt"],
        what="a later end",
    )
    assert api.storage.get(first["url"]).status_code == 200


def test_an_upload_url_takes_one_file_of_one_type(api: Presigned) -> None:
    """Its signature is for one place and type; a body without a length, or the key, is refused."""
    ticket = api.ticket()
    forged = {**ticket, "uploadUrl": ticket["uploadUrl"].replace("up_", "up_0", 1)}
    other = api.ticket()
    swapped = httpx.URL(ticket["uploadUrl"]).copy_with(query=httpx.URL(other["uploadUrl"]).query)
    assert fault(api.put(forged, b"a")) == (403, "FORBIDDEN")
    assert fault(api.put({**ticket, "uploadUrl": str(swapped)}, b"a")) == (403, "FORBIDDEN")
    wrong_type = {"Content-Type": "audio/mpeg"}
    assert fault(api.put(ticket, b"a", **wrong_type)) == (403, "FORBIDDEN")
    assert fault(api.put(ticket, b"a", Authorization=f"Bearer {KEY}"))[0] == 400
    assert fault(api.put(ticket, iter([b"a"]))) == (411, "LENGTH_REQUIRED")  # type: ignore[arg-type]
    assert fault(api.put(ticket, b""))[0] == 400
    assert fault(declared(ticket, 100 * 2**20 + 1)) == (400, "FILE_TOO_LARGE")
    assert fault(api.create(ticket["uploadKey"])) == (400, "UPLOAD_NOT_FOUND")
    assert api.put(ticket, tone()).status_code == 200


def test_an_upload_that_is_cut_leaves_nothing(api: Presigned, server: Server) -> None:
    """A client that goes away while it sends has sent nothing."""
    ticket = api.ticket()
    url = httpx.URL(ticket["uploadUrl"])
    folder = server.data_dir / "uploads" / ticket["uploadKey"].split("/")[1]

    def half() -> Iterator[bytes]:
        yield bytes(500_000)
        wait_for(lambda: folder.exists() and list(folder.iterdir()), what="an upload")
        raise InterruptedError

    headers = {"Content-Type": ticket["contentType"], "Content-Length": "1000000"}
    with pytest.raises(InterruptedError):
        api.storage.put(url, content=half(), headers=headers)
    wait_for(lambda: not list(folder.iterdir()), what="no leftovers")
    assert fault(api.create(ticket["uploadKey"])) == (400, "UPLOAD_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"outputType": "vocals"}, "outputType"),
        ({"quality": "GOOD"}, "quality"),
        ({"outputFormat": "AAC"}, "outputFormat"),
        ({"outputType": "SIX_STEMS", "quality": "FAST"}, "SIX_STEMS"),
        ({"metadata": "text"}, "metadata"),
        ({"fileName": 5}, "fileName"),
        ({"uploadKey": ""}, "uploadKey"),
        ({"uploadKey": None}, "uploadKey"),
        ({"sourceUrl": "https://example.org/a.mp3"}, "sourceUrl"),
        ({"callbackUrl": "https://example.org/"}, "callbackUrl"),
    ],
)
def test_bad_fields_are_named(api: Presigned, body: dict[str, object], word: str) -> None:
    """Each bad field is refused by its name, before anything is made."""
    answer = api.http.post("/jobs", json={"uploadKey": "uploads/up_1/input.wav", **body})
    assert fault(answer) == (400, "INVALID_REQUEST")
    assert word in answer.json()["error"]["message"]


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels - 1):
        made = {"a": made}
    return made


def test_what_is_nested_deep_is_refused(api: Presigned) -> None:
    """Before anything is made of it: as a job, it ended the server at its end, again and again."""
    upload = api.uploaded()
    for levels in (32, 450):  # and one for the body
        answer = api.create(upload, metadata=nested(levels))
        assert fault(answer) == (400, "INVALID_REQUEST")
        assert "32 levels" in answer.text
    made = api.create(upload, metadata=nested(31)).json()
    assert api.ended(made["id"])["metadata"] == nested(31)


def test_a_job_that_was_taken_nested_deep_is_done(tmp_path: Path) -> None:
    """By an earlier version, which ended at its end, after each restart."""
    folder = tmp_path / "data" / "jobs" / f"job_{'0' * 24}"
    folder.mkdir(parents=True)
    (folder / "input.wav").write_bytes(tone(0.1))
    job = {"id": folder.name, "name": "a.wav", "input": "input.wav", "stems": 2, "format": "wav",
           "engine": "copy", "created_at": 1.0, "metadata": nested(600)}  # fmt: skip
    (folder / "job.json").write_text(json.dumps(job))
    with Server(tmp_path / "data") as server:
        assert server.ended(folder.name)["status"] == "completed"


def test_bad_requests_are_told_so(api: Presigned, server: Server) -> None:
    """No JSON, too much of it, unknown places and jobs, and uploads that lead elsewhere."""
    post, get = api.http.post, api.http.get
    assert fault(post("/jobs", content=b"[]")) == (400, "INVALID_REQUEST")
    for content in (b"[" * 60_000, b'{"metadata": {"a": 1e999}}', b'{"fileName": "\\ud800"}'):
        answer = post("/jobs", content=content)
        assert (fault(answer), "JSON" in answer.text) == ((400, "INVALID_REQUEST"), True)
    assert fault(post("/jobs", content=bytes(70_000))) == (400, "INVALID_REQUEST")
    assert fault(post("/upload", json={"filename": "a", "contentType": "a\nb"}))[0] == 400
    assert fault(post("/upload", json={})) == (400, "INVALID_REQUEST")
    assert fault(get("/jobs/job_1")) == (404, "JOB_NOT_FOUND")
    assert fault(get("/nothing")) == (404, "NOT_FOUND")
    assert fault(get("/upload")) == (405, "METHOD_NOT_ALLOWED")
    for query in ("limit=0", "limit=101", "limit=x", "offset=-1", "status=DONE"):
        assert fault(get(f"/jobs?{query}")) == (400, "INVALID_REQUEST")
    for key in ("../secret", "uploads/../secret", "uploads/up_" + "0" * 24 + "/input/../x"):
        assert fault(api.create(key)) == (400, "UPLOAD_NOT_FOUND")
    assert fault(get("/jobs/job_1", headers={"Host": "a/b"}))[0] == 404
    noise = api.create(api.uploaded(b"Just some words. " * 5000))
    assert fault(noise) == (400, "UNSUPPORTED_FORMAT")
    assert server.receiving() == []


def test_the_key_is_asked_for(server: Server) -> None:
    """A missing key and a wrong one are told apart; a Host that is none is refused."""
    with Presigned(server) as stranger, Presigned(server, "wrong") as liar:
        for path in ("/jobs", "/balance", "/webhooks", "/jobs/job_1"):
            assert fault(stranger.http.get(path)) == (401, "MISSING_API_KEY")
            assert fault(liar.http.get(path)) == (401, "INVALID_API_KEY")
        assert fault(stranger.http.post("/upload")) == (401, "MISSING_API_KEY")


def test_the_same_request_is_the_same_job(api: Presigned) -> None:
    """By its key, or without one by its upload; an upload used otherwise is refused."""
    upload = api.uploaded()
    first = api.create(upload)
    assert (first.status_code, api.create(upload).json()["id"]) == (201, first.json()["id"])
    assert fault(api.create(upload, outputType="VOCALS")) == (400, "INVALID_REQUEST")
    keyed = api.create(key="again").json()["id"]
    assert api.create(key="again").json()["id"] == keyed != first.json()["id"]
    assert fault(api.create(upload, key="other")) == (400, "UPLOAD_NOT_FOUND")
    assert fault(api.create(key="x" * 300)) == (400, "INVALID_REQUEST")


def test_jobs_are_listed_newest_first(api: Presigned) -> None:
    """Page by page, and by status."""
    made = [api.ended(api.create().json()["id"])["id"] for _ in range(3)]
    page = api.http.get("/jobs", params={"limit": 2, "offset": 1}).json()
    assert [one["id"] for one in page["jobs"]] == made[1::-1]
    total = page["pagination"].pop("total")
    assert page["pagination"] == {"limit": 2, "offset": 1, "hasMore": total > 3}
    assert api.http.get(f"/jobs?offset={total - 1}").json()["pagination"]["hasMore"] is False
    failed = api.http.get("/jobs?status=FAILED").json()
    assert (failed["jobs"], failed["pagination"]["total"]) == ([], 0)
    assert api.http.get("/jobs?status=COMPLETED").json()["jobs"][0]["id"] == made[-1]


def test_everybody_has_credit_without_a_limit(api: Presigned) -> None:
    """The balance has no word for it but a very large number."""
    balance = api.http.get("/balance").json()
    assert (balance["balanceSeconds"], balance["balanceFormatted"]) == (10**9, "unlimited")


def test_credit_rate_and_lengths_have_limits(tmp_path: Path) -> None:
    """402 with what is needed; too short, too long; 429 with the time to come back."""
    options = ("--credits", "5", "--rate-limit", "60", "--min-seconds", "1", "--max-seconds", "9")
    with Server(tmp_path / "data", *options) as server, Presigned(server) as api:
        assert fault(api.create(api.uploaded(tone(0.5)))) == (400, "AUDIO_TOO_SHORT")
        assert fault(api.create(api.uploaded(tone(9.5)))) == (400, "AUDIO_TOO_LONG")
        assert "lasts 9.5 s" in server.submit(tone(9.5)).json()["error"]
        job_id = api.create(api.uploaded(tone(2.5))).json()["id"]
        server.ended(job_id)  # asked on the other wire, which counts no requests
        job = api.job(job_id)
        assert (job["creditsCharged"], job["status"]) == (3, "COMPLETED")
        assert api.http.get("/balance").json()["balanceSeconds"] == 2
        upload = api.uploaded(tone(2.5))
        refused = api.create(upload)
        assert fault(refused) == (402, "INSUFFICIENT_CREDITS")
        assert refused.json()["error"]["requiredSeconds"] == 3
        assert refused.json()["error"]["purchaseUrl"].startswith("http://")
        assert server.submit(tone(2.5)).status_code == 402
        assert fault(api.create(upload)) == (402, "INSUFFICIENT_CREDITS")  # it still lies there
        answer = api.http.get("/balance")
        assert answer.headers["x-ratelimit-limit"] == "60"
        while answer.status_code == 200:
            left = int(answer.headers["x-ratelimit-remaining"])
            answer = api.http.get("/balance")
        assert (fault(answer), left) == ((429, "RATE_LIMIT_EXCEEDED"), 0)
        assert 0 < int(answer.headers["retry-after"]) <= 60
        assert 0 <= int(answer.headers["x-ratelimit-reset"]) - time.time() <= 61
        assert server.http.get("/health").status_code == 200


def test_a_disk_that_is_away_blames_no_upload(tmp_path: Path) -> None:
    """The jobs' folder is gone: told as an upload that never came, it cost its client the song."""
    data = tmp_path / "data"
    with Server(data) as server, Presigned(server) as api:
        upload = api.uploaded()
        for name in ("jobs", "uploads"):
            (data / name).rename(tmp_path / name)
            away = api.create(upload)
            assert fault(away) == (503, "SERVICE_UNAVAILABLE")
            assert away.headers["retry-after"] == "60"
            assert (server.submit().status_code, name) in ((503, "jobs"), (202, "uploads"))
            (tmp_path / name).rename(data / name)
        job = api.ended(api.create(upload).json()["id"])
        stem = job["outputs"]["vocals"]["url"]
        (data / "jobs").rename(tmp_path / "jobs")
        assert api.storage.get(stem).status_code == 503
        (tmp_path / "jobs").rename(data / "jobs")
        assert api.storage.get(stem).status_code == 200
        (data / "webhooks.json.part").mkdir()
        assert fault(api.http.post("/webhooks", json={"url": "https://example.org/"}))[0] == 503


def test_a_restart_keeps_jobs_and_uploads(tmp_path: Path) -> None:
    """Killed: tickets, uploads, keys and what runs are there at the next start, seats are full."""
    data, options = tmp_path / "data", ("--jobs", "1", "--strict-limit")
    with Server(data, *options, engine="gated") as server, Presigned(server) as api:
        ticket, upload = api.ticket(), api.uploaded()
        running = api.create(key="one", outputType="VOCALS", quality="FAST").json()["id"]
        server.started()
        wait_for(lambda: api.job(running)["progress"] == 25, what="progress")
        assert api.job(running)["status"] == "PROCESSING"
        refused = api.create(key="two")
        assert (fault(refused), refused.headers["retry-after"]) == (
            (429, "RATE_LIMIT_EXCEEDED"),
            "2",
        )
    # the server was killed
    options = ("--jobs", "1")
    with Server(data, *options, engine="gated") as server, Presigned(server) as api:
        ticket["uploadUrl"] = str(httpx.URL(ticket["uploadUrl"]).copy_with(port=server.port))
        assert api.put(ticket, tone()).status_code == 200
        assert api.create(ticket["uploadKey"]).status_code == 201
        assert api.create(key="one").json()["id"] == running
        waiting = api.create(upload).json()
        assert (waiting["status"], waiting["progress"]) == ("PENDING", 0)
        server.open_gate()
        job = api.ended(running)
        assert list(job["outputs"]) == ["vocals"]
        assert job["options"] == {"outputType": "VOCALS", "quality": "FAST", "outputFormat": "WAV"}
        assert api.ended(waiting["id"])["status"] == "COMPLETED"
