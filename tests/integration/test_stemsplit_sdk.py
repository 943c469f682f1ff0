"""StemSplit's own client, from the package index, drives the local server's presigned wire.

Of its errors, PermissionDeniedError (403), ConflictError (409) and UnprocessableEntityError (422)
belong to answers that this server has no use for.
"""

from __future__ import annotations

import io
import json
import socket
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
import stemsplit_python as sdk

from tests.support.openapi import validate
from tests.support.server import Server, set_back, tone
from tests.support.waiting import wait_for
from tests.support.webhook_receiver import Call, Receiver

pytestmark = pytest.mark.xdist_group("sdk")  # they share a server

KEY = "sk_test_of_the_local_server"


def client(server: Server, *, key: str = KEY, timeout: float | None = None) -> sdk.StemSplit:
    base_url = f"http://127.0.0.1:{server.port}/api/v1"
    return sdk.StemSplit(api_key=key, base_url=base_url, max_retries=0, timeout=timeout)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("sdk") / "data"
    options = ("--jobs", "1", "--credits", "20", "--min-seconds", "0.2")
    with Server(data, *options, engine="moody", key=KEY) as server:
        (server.room / "mood").write_text("0")
        yield server


@pytest.fixture(scope="module")
def split(server: Server) -> Iterator[sdk.StemSplit]:
    with client(server) as split:
        yield split


def done(handle: sdk.JobHandle) -> sdk.Job:
    return handle.wait(poll_interval=0.02, timeout=30)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "Été.wav"
    path.write_bytes(tone())
    return path


def test_a_file_becomes_stems(split: sdk.StemSplit, song: Path, tmp_path: Path) -> None:
    """Created from a file, waited for, downloaded; each field in its model."""
    handle = split.jobs.create(
        audio=song, stems=["vocals", "drums", "bass", "other"], output_format="WAV",
        metadata={"mine": 1},
    )  # fmt: skip
    seen = list(handle.iter_progress(poll_interval=0.02))
    job = done(handle)
    assert (seen[0].status in ("PENDING", "PROCESSING"), seen[-1].status) == (True, "COMPLETED")
    assert (job.progress, job.credits_charged, job.metadata) == (100, 1, {"mine": 1})
    assert job.input is not None
    assert (job.input.file_name, job.input.file_size_bytes) == ("Été.wav", song.stat().st_size)
    assert job.audio_metadata is not None
    assert (job.audio_metadata.bpm, job.audio_metadata.key) == (120.0, "C#m")
    paths = handle.download_all(tmp_path / "out")
    assert [path.name for path in paths.values()] == [
        "vocals.wav", "drums.wav", "bass.wav", "other.wav",
    ]  # fmt: skip
    with wave.open(io.BytesIO(paths["drums"].read_bytes())) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(0.5, abs=0.01)


def test_jobs_and_balance(split: sdk.StemSplit, song: Path) -> None:
    """Jobs page by page and by status; what they cost is gone from the balance."""
    before = split.account.balance().balance_seconds
    made = [split.jobs.create(audio=song, output_format="WAV").id for _ in range(3)]
    assert [job.id for job in split.jobs.list(limit=2)] == made[:0:-1]
    for job_id in made:
        done(split.jobs.get(job_id))
    every = [job.id for job in split.jobs.iter_all(page_size=2, status="COMPLETED")]
    assert every[:3] == made[::-1]
    assert split.account.balance().balance_seconds == before - 3


def test_a_repeated_create_is_one_job(split: sdk.StemSplit) -> None:
    """As its retries need it: by the key, or by the upload alone."""
    ticket = split.uploads.upload_bytes(filename="a.wav", data=tone())
    again = [split.jobs.create(upload_key=ticket.upload_key).id for _ in range(2)]
    keyed = [split.jobs.create(audio=tone(), file_name="a.wav", idempotency_key="k").id
             for _ in range(2)]  # fmt: skip
    assert (again[0], keyed[0]) == (again[1], keyed[1])
    assert again[0] != keyed[0]


def test_webhooks_arrive_signed(split: sdk.StemSplit, server: Server, song: Path) -> None:
    """Registered, listed without the secret, delivered and verified by the client, deleted."""
    with Receiver() as receiver:
        hook = split.webhooks.create(url=receiver.url)
        assert hook.secret is not None
        completed = done(split.jobs.create(audio=song, output_format="WAV", metadata={"a": 1}))
        (server.room / "mood").write_text("refuse")
        failed = split.jobs.create(audio=song)
        try:
            with pytest.raises(sdk.JobFailedError, match="not to my taste"):
                done(failed)
        finally:
            (server.room / "mood").write_text("0")
        calls: list[Call] = []

        def both() -> bool:
            # Jobs of earlier tests may come to their end as well.
            calls[:] = [one for one in receiver.calls if told_job(one) in (completed.id, failed.id)]
            return len(calls) == 2

        wait_for(both, what="two webhooks")
        listed = split.webhooks.list()
    assert [(one.id, one.secret, one.fail_count) for one in listed] == [(hook.id, None, 0)]
    assert split.webhooks.delete(hook.id)
    assert split.webhooks.list() == []
    events = []
    for call in calls:
        validate("WebhookPayload", json.loads(call.body))
        signature = call.headers["x-webhook-signature"]
        event = sdk.webhooks.verify_and_parse(
            payload=call.body, signature=signature, secret=hook.secret
        )
        events.append((event.event, event.data.job_id, event.data.status))
        with pytest.raises(sdk.SignatureVerificationError):
            sdk.webhooks.verify_and_parse(
                payload=call.body + b" ", signature=signature, secret=hook.secret
            )
    assert events == [
        ("job.completed", completed.id, "COMPLETED"),
        ("job.failed", failed.id, "FAILED"),
    ]
    assert sorted(json.loads(calls[0].body)["data"]["outputs"]) == ["instrumental", "vocals"]


def told_job(call: Call) -> str:
    job_id: str = json.loads(call.body)["data"]["jobId"]
    return job_id


def test_errors_have_their_classes(server: Server, split: sdk.StemSplit) -> None:
    """Each refusal comes as the class, with the code and the fields, that it is documented as."""
    with (
        client(server, key="sk_test_wrong") as stranger,
        pytest.raises(sdk.AuthenticationError, match="INVALID_API_KEY"),
    ):
        stranger.account.balance()
    with pytest.raises(sdk.NotFoundError, match="JOB_NOT_FOUND"):
        split.jobs.get("job_unknown")
    with pytest.raises(sdk.NotFoundError, match="WEBHOOK_NOT_FOUND"):
        split.webhooks.delete("wh_unknown")
    with pytest.raises(sdk.BadRequestError, match="AUDIO_TOO_SHORT"):
        split.jobs.create(audio=tone(0.1), file_name="a.wav")
    with pytest.raises(sdk.BadRequestError, match="UNSUPPORTED_FORMAT"):
        split.jobs.create(audio=b"words " * 9000, file_name="a.wav")
    with pytest.raises(sdk.BadRequestError, match="callbackUrl"):
        split.jobs.create(upload_key="uploads/x", callback_url="https://example.org")
    with pytest.raises(sdk.InsufficientCreditsError) as poor:
        split.jobs.create(audio=tone(21), file_name="a.wav")
    assert (poor.value.required_seconds, bool(poor.value.purchase_url)) == (21, True)
    ticket = split.uploads.create_ticket(filename="a.wav")
    with pytest.raises(sdk.APIError, match="HTTP 403"):
        split.uploads.put_bytes(ticket, tone(), content_type="audio/mpeg")


def test_nobody_and_silence_have_theirs() -> None:
    """A server that is not there, and one that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base_url = f"http://127.0.0.1:{silent.getsockname()[1]}/api/v1"
        split = sdk.StemSplit(api_key=KEY, base_url=base_url, timeout=0.1, max_retries=0)
        with split, pytest.raises(sdk.APITimeoutError):
            split.account.balance()
    split = sdk.StemSplit(api_key=KEY, base_url=base_url, max_retries=0)
    with split, pytest.raises(sdk.APIError, match="Connection error"):
        split.account.balance()


def test_limits_have_theirs(tmp_path: Path, song: Path) -> None:
    """A result that has expired, and too many requests in a minute."""
    data = tmp_path / "data"
    with Server(data, "--keep-hours", "1") as server, client(server) as split:
        job_id = done(split.jobs.create(audio=song, output_format="WAV")).id
    set_back(data, job_id, 1.5)
    options = ("--keep-hours", "1", "--rate-limit", "20")
    with Server(data, *options) as server, client(server) as split:
        # Asked on the other wire, which counts no requests.
        path = f"/jobs/{job_id}"
        wait_for(lambda: server.http.get(path).status_code == 404, what="its end")
        handle = split.jobs.get(job_id)
        assert handle.refresh().status == "EXPIRED"
        with pytest.raises(sdk.JobExpiredError):
            done(handle)
        with pytest.raises(sdk.RateLimitError) as busy:
            while True:
                split.account.balance()
    assert (busy.value.code, busy.value.limit, busy.value.remaining) == (
        "RATE_LIMIT_EXCEEDED",
        20,
        0,
    )
    assert 0 < (busy.value.retry_after or 0) <= 60
    assert split.last_rate_limit is not None


def test_a_full_disk_has_its(tmp_path: Path) -> None:
    """The server's own trouble is told as such, before anything is sent."""
    full = Server(tmp_path / "data", "--min-free", str(10**18))
    with full, client(full) as split, pytest.raises(sdk.InternalServerError) as busy:
        split.jobs.create(audio=tone(), file_name="a.wav")
    assert busy.value.code == "SERVICE_UNAVAILABLE"
