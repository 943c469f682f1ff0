"""What only wire B can do: be asked whether a job was taken, take a large WAV, say its credit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.harness import PRESIGNED, Home
from tests.acceptance.songs import drop, large_wav
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

pytestmark = PRESIGNED
QUICK = 0.02  # all waiting times; a second look at the list of jobs comes after 1.2 s


UNREADABLE: dict[str, dict[str, Any]] = {
    "reset after the body, not taken": {"reset": "end"},
    "reset after the body, taken": {"reset": "end", "accept": True},
    "closed after the body, taken": {"close": "end", "accept": True},
    "reset half-way through the answer": {"reset": "answer"},
    "closed half-way through the answer": {"close": "answer"},
    "201 without a job id": {"drop": ["job_id"]},
    "200 with HTML": {"html": True},
    "201 with half a JSON": {"half": True},
    "204 with nothing": {"status": 204, "body": ""},
}


def test_an_unanswered_submission_is_looked_for_before_anything_else(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Found: adopted. Absent: submitted again, with the same key. Each song is paid for once."""
    server.scenario(post=list(UNREADABLE.values()))
    home = Home(tmp_path, server.url, api={"max_concurrent": 1})
    with home.scaled_service(QUICK) as service:
        for number in range(len(UNREADABLE)):
            drop(home.inbox / f"song{number}.wav", number)
        service.wait_for_event("job.done", count=len(UNREADABLE))
        assert len(service.events("job.unanswered")) == len(UNREADABLE)
    assert home.reasons() == {}
    assert set(server.paid["by_sha256"].values()) == {1}
    absent, found = service.events("job.not_taken"), service.events("job.found")
    assert len(found) + len(absent) == len(UNREADABLE)
    assert {event["remote_id"] for event in found} < {job["id"] for job in server.paid["jobs"]}
    keys = [post["headers"]["idempotency-key"] for post in server.requests("post")]
    assert len(set(keys)) == len(UNREADABLE)
    assert len(keys) == len(UNREADABLE) + len(absent)


def test_what_was_taken_before_a_kill_is_adopted_at_the_start(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """The answer never came and the service died: the list has the job, so nobody is asked."""
    server.scenario(post=[{"hang": "end", "accept": True}])
    home = Home(tmp_path, server.url)
    with home.service() as service:
        drop(home.inbox / "song.wav")
        wait_for(lambda: any("finished" in r for r in server.requests("post")))
        service.kill()
    assert home.command("run", "--once", "-c", str(home.config)).returncode == 0
    ((_, sidecar),) = home.sidecars().items()
    assert sidecar["separation"]["job_id"] == server.paid["jobs"][0]["id"]
    assert len(server.requests("post")) == 1
    assert home.journal_count("done") == 1


UNNAMED = {"jobs": [{"id": "job_9"}], "pagination": {"hasMore": False}}


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"body": UNNAMED, "status": 200}, "a list with a job that has no name"),
        ({"status": 404}, "The API has no such endpoint: GET http"),
    ],
    ids=["no name", "no list"],
)
def test_a_list_that_can_not_be_read_leaves_it_to_a_person(
    tmp_path: Path, server: ScenarioServer, step: dict[str, Any], words: str
) -> None:
    """Neither found nor certainly absent: never submitted again by itself."""
    server.scenario(post=[{"reset": "end", "accept": True}], get=[step | {"times": "ever"}])
    home = Home(tmp_path, server.url)
    with home.scaled_service(QUICK) as service:
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.quarantined")
        wait_for(home.reasons)
    (reason,) = home.reasons().values()
    assert reason["code"] == "submission_unconfirmed"
    assert words in reason["message"]
    assert len(server.requests("post")) == 1


def test_a_job_without_a_name_does_not_hide_ours(tmp_path: Path, server: ScenarioServer) -> None:
    """Another program made it, and the list names no file: ours beside it is found all the same."""
    server.scenario(post=[{"reset": "end", "accept": True}])
    server.crowd(1, named=False)
    home = Home(tmp_path, server.url)
    with home.scaled_service(QUICK) as service:
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.done")
        assert len(service.events("job.found")) == 1
    assert len(server.requests("post")) == server.paid["total"] == 1


def test_the_list_is_read_to_its_end(tmp_path: Path, server: ScenarioServer) -> None:
    """The job is on the second page of a hundred: others use the same key's account."""
    home = Home(tmp_path, server.url)
    server.scenario(post=[{"hang": "end", "accept": True}])
    with home.service() as service:
        drop(home.inbox / "song.wav")
        wait_for(lambda: any("finished" in r for r in server.requests("post")))
        service.kill()
    server.crowd(150)
    assert home.command("run", "--once", "-c", str(home.config)).returncode == 0
    assert list(home.sidecars()) == ["song"]
    assert len(server.requests("post")) == 1
    offsets = [r["target"] for r in server.requests("get") if "offset" in r["target"]]
    assert [target.rpartition("=")[2] for target in offsets] == ["0", "100"]


def test_a_refused_upload_address_is_asked_for_anew(tmp_path: Path, server: ScenarioServer) -> None:
    """403 from the storage: the ticket was too old. A 503 there is tried again, paid once."""
    server.scenario(put=[{"status": 403}, {"status": 503}])
    home = Home(tmp_path, server.url)
    with home.scaled_service(QUICK) as service:
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.done")
    assert len(server.requests("ticket")) == len(server.requests("put")) == 3
    assert server.paid["total"] == 1
    for put in server.requests("put"):
        assert "authorization" not in put["headers"]
        assert put["headers"]["content-type"] == "audio/wav"


def test_a_refused_job_is_not_uploaded_again(tmp_path: Path, server: ScenarioServer) -> None:
    """429 and 402 speak of the account: what is at the storage stays good."""
    server.scenario(post=[{"status": 429}, {"status": 402}, {"status": 503}])
    home = Home(tmp_path, server.url)
    with home.scaled_service(QUICK) as service:
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.done")
    assert len(server.requests("put")) == 1
    assert len(server.requests("post")) == 4


def test_an_upload_that_is_forgotten_is_made_anew(tmp_path: Path, server: ScenarioServer) -> None:
    """It put a good song aside. After a 500 the list is asked: that job may have been taken."""
    lost = {"error": {"code": "UPLOAD_NOT_FOUND", "message": "too late, or used already"}}
    gone = {"status": 400, "body": lost}
    server.scenario(post=[gone, {"status": 500, "accept": True}, gone])
    home = Home(tmp_path, server.url, api={"max_concurrent": 1})
    with home.scaled_service(QUICK) as service:
        drop(home.inbox / "song.wav")
        service.wait_for_event("job.done")
        assert len(service.events("job.found")) == 1
    assert home.reasons() == {}
    assert len(server.requests("put")) == 2
    assert len(server.requests("post")) == 3
    assert server.paid["total"] == 1
    (booked,) = home.rows("SELECT count(*) FROM spend")
    assert booked == (1,)


def test_a_wav_that_is_too_large_goes_as_flac(tmp_path: Path, server: ScenarioServer) -> None:
    """The ticket names 200 kB: the WAV is sent losslessly smaller, an MP3 has no such form."""
    server.scenario(max_bytes=200_000)
    home = Home(tmp_path, server.url)
    with home.service() as service:
        drop(home.inbox / "Long Song.wav", 1, seconds=30.0)
        service.wait_for_event("job.done")
    (put,) = server.requests("put")
    assert put["size"] < 200_000
    assert put["headers"]["content-type"] == "audio/flac"
    (paid,) = server.paid["jobs"]
    assert paid["filename"] == "Long Song.flac"
    ((_, sidecar),) = home.sidecars().items()
    assert sidecar["source"]["name"] == "Long Song.wav"
    assert not list(home.state.glob("upload-*"))


@pytest.mark.timeout(400)
def test_what_stays_too_large_is_quarantined(tmp_path: Path, server: ScenarioServer) -> None:
    server.scenario(max_bytes=10_000)
    home = Home(tmp_path, server.url)
    with home.service() as service:
        large_wav(home.inbox / "large.wav")
        service.wait_for_event("job.quarantined", timeout=150)
        wait_for(home.reasons)
    assert home.reasons()["large.wav"]["code"] == "too_large"
    assert server.requests("put") == []
    assert server.paid["total"] == 0


def test_what_this_wire_does_not_take_is_never_sent(tmp_path: Path, server: ScenarioServer) -> None:
    """Five seconds and more, also of a song that was queued while another wire was configured."""
    home = Home(tmp_path, "http://127.0.0.1:9/v1", watch={"settle_seconds": 0.05})
    with home.service() as service:
        drop(home.inbox / "queued.wav", 1, seconds=3.0)
        service.wait_for_event("job.queued")
    home.configure(server.url, watch={"settle_seconds": 0.05})
    with home.service() as service:
        drop(home.inbox / "short.wav", 2, seconds=4.9)
        drop(home.inbox / "song.wav", 3, seconds=5.0)
        service.wait_for_event("job.done")
        wait_for(lambda: len(home.reasons()) == 2, what=service.text())
    assert {reason["code"] for reason in home.reasons().values()} == {"too_short"}
    assert "--local" in home.reasons()["queued.wav"]["hint"]
    assert [len(server.requests(route)) for route in ("ticket", "put", "post")] == [1, 1, 1]


def test_every_request_counts_against_the_budget(tmp_path: Path, server: ScenarioServer) -> None:
    """Ticket and job are two requests: with ten a minute, the eleventh waits for its minute."""
    server.scenario(jobs=[{"seconds": 60.0}] * 8)
    api = {"requests_per_minute": 10, "max_concurrent": 8, "poll_interval": 60}
    home = Home(tmp_path, server.url, api=api)
    with home.service() as service:
        for number in range(8):
            drop(home.inbox / f"song{number}.wav", number)
        service.wait_for_event("job.queued", count=8)
        wait_for(lambda: sum(r["route"] not in {"put", "other"} for r in server.log) == 10)
        wait_for(lambda: len(home.rows("SELECT 1 FROM jobs WHERE state = 'queued'")) >= 1)
        assert sum(r["route"] not in {"put", "other"} for r in server.log) == 10
