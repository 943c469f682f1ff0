"""Every answer of the local separation server, over real HTTP."""

from __future__ import annotations

import io
import json
import socket
import wave
from collections.abc import Iterator

import httpx
import pytest

from stemwatch import __version__
from tests.support.clustered import one_process, server_or_cluster
from tests.support.server import Server, fetched, tone
from tests.support.waiting import NO_TLS, wait_for

KEY = "a-key-for-tests"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_or_cluster(
        tmp_path_factory.mktemp("local") / "data", "--jobs", "1", key=KEY
    ) as server:
        yield server


def assert_error(answer: httpx.Response, status: int, *words: str) -> None:
    assert (answer.status_code, list(answer.json())) == (status, ["error"])
    for word in words:
        assert word in answer.json()["error"]


def raw_request(server: Server, head: str, body: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
    return connection


def test_a_song_becomes_stems(server: Server) -> None:
    """An upload is accepted, separated and fetched without the key, with its exact length."""
    answer = server.submit(tone(0.5), name="Été.wav", stems="4")
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    job = server.ended(answer.json()["job_id"])
    assert list(job["stems"]) == ["vocals", "drums", "bass", "other"]
    assert (job["status"], job["progress"], job["error"]) == ("completed", 1.0, None)
    assert (job["bpm"], job["key"], job["queue_position"]) == (120.0, "C# minor", None)
    assert (job["bpm_confidence"], job["key_confidence"]) == (0.9, 0.8)
    assert (job["tuning_cents"], job["first_beat_seconds"]) == (-12.5, 0.25)
    assert job["duration_seconds"] == pytest.approx(0.5, abs=0.01)
    assert job["engine"] == "tests.support.server_engines:copy"
    stem = fetched(job["stems"]["vocals"])
    assert stem.headers["content-length"] == str(len(stem.content))
    assert stem.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(stem.content)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(0.5, abs=0.01)
    kept = {"vocals.wav", "drums.wav", "bass.wav", "other.wav"}
    wait_for(lambda: server.kept(job["job_id"]) == kept, what="the end of its input")


def test_urls_follow_the_host_header(server: Server) -> None:
    """A client behind a name gets stem URLs of that name."""
    job_id = server.submit().json()["job_id"]
    server.ended(job_id)
    job = server.http.get(f"/jobs/{job_id}", headers={"Host": "nas.local:1234"}).json()
    assert job["stems"]["vocals"].startswith("http://nas.local:1234/v1/files/")
    assert_error(server.http.get(f"/jobs/{job_id}", headers={"Host": "a/b"}), 400, "Host")


def test_stem_urls_open_nothing_else(server: Server) -> None:
    """A changed name, time or signature is refused, and so is any path out of the stems."""
    job_id = server.submit().json()["job_id"]
    url = httpx.URL(server.ended(job_id)["stems"]["vocals"])
    query = dict(url.params)
    expected = [
        url.copy_with(path=f"/v1/files/{job_id}/instrumental.wav"),
        url.copy_set_param("expires", str(int(query["expires"]) + 1)),
        url.copy_set_param("sig", "0" * 64),
        url.copy_set_param("sig", "é"),
        url.copy_remove_param("sig"),
        url.copy_with(path=f"/v1/files/{job_id}/..%2Fjob.json"),
        url.copy_with(path=f"/v1/files/{job_id}/job.json"),
    ]
    assert [fetched(one).status_code for one in expected[:5]] == [403] * 5
    assert [fetched(one).status_code for one in expected[5:]] == [404, 403]
    assert fetched(url).status_code == 200


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {KEY}", "Bearer é"])
def test_a_wrong_key_is_refused(server: Server, given: str | None) -> None:
    """Everything that costs or tells asks for the key."""
    headers = {} if given is None else {b"Authorization": given.encode()}
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=30, verify=NO_TLS) as http:
        assert_error(http.post("/separate", files={"audio": ("a", bytes(9**7))}), 401, "key")
        assert_error(http.get("/jobs/job_1"), 401)
        assert_error(http.post("/webhooks"), 401)
        assert http.get("/health").status_code == 200


def test_a_wrong_key_is_answered_before_the_body(server: Server) -> None:
    """The 401 comes while the body is still to be sent."""
    head = "POST /v1/separate HTTP/1.1\nHost: x\nContent-Length: 50000000\n"
    with raw_request(server, head, b"--") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_an_early_answer_reaches_a_client_that_sends_first(server: Server) -> None:
    """Who reads only after the last byte still reads the 401, not a reset connection."""
    head = "POST /v1/separate HTTP/1.1\nHost: x\nContent-Length: 20000000\n"
    with raw_request(server, head, bytes(20_000_000)) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_too_large_is_answered_from_its_length(server: Server) -> None:
    """A declared length above the limit is refused before anything of it is read."""
    head = f"POST /v1/separate HTTP/1.1\nHost: x\nAuthorization: Bearer {KEY}\n"
    with raw_request(server, f"{head}Content-Length: {101 * 2**20}\n") as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_too_large_shows_while_it_streams(server: Server) -> None:
    """Without a declared length the limit holds all the same, and the client gets to read so."""
    start = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'

    def body() -> Iterator[bytes]:
        yield start
        for _ in range(106):
            yield bytes(1_000_000)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = server.http.post("/separate", content=body(), headers=headers)
    assert_error(answer, 413, "100 MB")
    wait_for(lambda: not server.receiving(), what="no leftovers")


@pytest.mark.parametrize(
    ("form", "status", "word"),
    [
        ({"stems": "3"}, 422, "stems"),
        ({"stems": ""}, 422, "stems"),
        ({"format": "aac"}, 422, "format"),
        ({"format": "x" * 5000}, 422, "too long"),
        ({"webhook_url": "https://example.org/"}, 422, "--webhook-secret-file"),
        ({"webhook_url": "http://example.org/"}, 422, "https"),
    ],
)
def test_bad_fields_are_named(server: Server, form: dict[str, str], status: int, word: str) -> None:
    """Each bad field is refused by its name."""
    assert_error(server.submit(**form), status, word)


def test_bad_bodies_are_refused(server: Server) -> None:
    """No file, an empty one, no multipart, a malformed or cut body: each is told what is wrong."""
    post = server.http.post
    form = {"stems": "2", "format": "wav"}
    assert_error(post("/separate", data=form), 415, "multipart")
    assert_error(post("/separate", files={"other": ("a", b"a")}, data=form), 422, "audio")
    assert_error(post("/separate", files={"audio": (None, b"a")}, data=form), 422, "file")
    assert_error(server.submit(b""), 422, "empty")
    multipart = {"Content-Type": "multipart/form-data; boundary=x"}
    assert_error(post("/separate", content=b"nonsense", headers=multipart), 422, "malformed")
    cut = b'--x\r\nContent-Disposition: form-data; name="stems"\r\n\r\n2'
    assert_error(post("/separate", content=cut, headers=multipart), 422, "closing boundary")
    twice = [("audio", ("a.wav", tone())), ("audio", ("b.wav", tone()))]
    assert_error(post("/separate", files=twice, data=form), 422, "twice")
    assert server.receiving() == []


@pytest.mark.parametrize("content", [b"Just some words. " * 5000, b"RIFF", b"ID3" + bytes(9000)])
def test_what_is_no_audio_is_refused(server: Server, content: bytes) -> None:
    """Content decides, whatever the name says, and the client's own name stands in the answer."""
    assert_error(server.submit(content, name="song.mp3"), 415, "song.mp3")


def test_audio_under_a_strange_name_is_taken(server: Server) -> None:
    """A name without a known extension does not matter when the content is audio."""
    answer = server.submit(name="../../etc/pass\nwd.döc")
    assert answer.status_code == 202
    assert server.ended(answer.json()["job_id"])["status"] == "completed"


def test_unknown_places_answer_in_json(server: Server) -> None:
    """Also 404 and 405 are JSON."""
    assert_error(server.http.get("/jobs/job_1"), 404, "no such job")
    assert_error(server.http.get("/nothing"), 404)
    assert_error(server.http.get("/separate"), 405)
    assert_error(server.submit(key="x" * 300), 422, "Idempotency-Key")


@one_process
def test_health_needs_no_key(server: Server) -> None:
    """Anybody may ask whether it is well."""
    health = fetched(f"{server.base_url}/health").json()
    worker, *_ = health.pop("workers")
    assert (worker["jobs"], worker["device"]) == (1, None)
    assert health == {
        "status": "ok",
        "version": __version__,
        "engine": "tests.support.server_engines:copy",
        "stems": [2, 4, 6],
        "models": {},
        "device": None,
        "jobs": 1,
        "threads": 1,
        "queued": 0,
        "running": 0,
        "oldest_waiting_seconds": None,
        "seats": 1,
    }


def test_the_same_key_is_the_same_job(server: Server) -> None:
    """A repeated request gets the job of the first, and makes no second."""
    first = server.submit(key="again")
    second = server.submit(key="again")
    other = server.submit(key="another")
    large = server.submit(bytes(30_000_000), key="again")
    assert [one.status_code for one in (first, second, other, large)] == [202, 200, 202, 200]
    assert first.json() != other.json()
    assert {one.json()["job_id"] for one in (first, second, large)} == {first.json()["job_id"]}


def test_the_same_key_while_the_first_is_received(server: Server) -> None:
    """A repeat that overtakes the slow first request is the job of both."""
    request = httpx.Request(
        "POST",
        f"{server.base_url}/separate",
        files={"audio": ("a.wav", tone())},
        data={"stems": "2", "format": "wav"},
    )
    body = request.read()
    head = (
        f"POST /v1/separate HTTP/1.1\nHost: x\nAuthorization: Bearer {KEY}\nIdempotency-Key: race\n"
        "Connection: close\n"
        f"Content-Type: {request.headers['content-type']}\nContent-Length: {len(body)}\n"
    )
    with raw_request(server, head, body[:-10]) as slow:
        wait_for(server.receiving, what="an upload")
        quick = server.submit(key="race")
        assert quick.status_code == 202
        slow.sendall(body[-10:])
        answer = slow.makefile("rb").read()  # head and body may come apart
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["job_id"] == quick.json()["job_id"]


def test_a_client_that_leaves_leaves_nothing(server: Server) -> None:
    """A connection that breaks in the middle of the upload leaves no file and no job."""
    before = sorted((server.data_dir / "jobs").iterdir())
    head = (
        f"POST /v1/separate HTTP/1.1\nHost: x\nAuthorization: Bearer {KEY}\n"
        "Content-Type: multipart/form-data; boundary=x\nContent-Length: 1000000\n"
    )
    start = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    with raw_request(server, head, start + bytes(500_000)):
        wait_for(server.receiving, what="an upload")
    wait_for(lambda: not server.receiving(), what="no leftovers")
    assert sorted((server.data_dir / "jobs").iterdir()) == before
