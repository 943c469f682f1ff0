"""`POST /api/remove-vocals` over real HTTP: a song in, its instrumental out, each paid once."""

from __future__ import annotations

import http.client
import io
import json
import shutil
import socket
import subprocess
import wave
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.acceptance.harness import KEY
from tests.acceptance.songs import wav_bytes
from tests.support.page import SECONDS, Page, remove_vocals, upload
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Page(tmp_path_factory.mktemp("page")) as page:
        yield page


def test_a_song_in_its_instrumental_out(page: Page) -> None:
    """Paid once, however often it is asked for."""
    before = page.server.paid["total"]
    answer = remove_vocals(page, 41)
    assert answer.status_code == 200, answer.text
    assert "My%20Song_instrumental.wav" in answer.headers["content-disposition"]
    with wave.open(io.BytesIO(answer.content)) as file:
        assert file.getnframes() == SECONDS * 44_100
    assert remove_vocals(page, 41).content == answer.content
    assert page.server.paid["total"] == before + 1


def test_as_the_tutorials_readers_call_it(page: Page, tmp_path: Path) -> None:
    """By curl, and by requests with the field and the name that the tutorial's own server takes."""
    song = tmp_path / "Tutorial.wav"
    song.write_bytes(wav_bytes(43, seconds=SECONDS))
    url = f"{page.url}/api/remove-vocals"
    if shutil.which("curl"):
        command = ["curl", "-sfOJ", "-F", f"audio=@{song}", url]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
        with wave.open(str(tmp_path / "Tutorial_instrumental.wav")) as file:
            assert file.getnframes() == SECONDS * 44_100
    requests = pytest.importorskip("requests")
    with song.open("rb") as stream:
        answer = requests.post(url, files={"audio": (song.name, stream)}, timeout=60)
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as file:
        assert file.getnframes() == SECONDS * 44_100


def test_one_that_does_not_wait_is_told_where_to_look(page: Page) -> None:
    answer = remove_vocals(page, 42, "Later.wav", **{"async": "1"})
    assert answer.status_code == 202
    assert page.delivered("Later.wav")["id"] == answer.json()["id"]


def test_what_is_no_song_never_comes_into_the_inbox(page: Page) -> None:
    before = page.home.journal_count("quarantined")
    url, kind = "/api/remove-vocals", "multipart/form-data; boundary=xyz"
    nothing = page.http.post(url, files={"other": ("a.wav", b"x")})
    assert (nothing.status_code, nothing.json()["code"]) == (400, "missing_audio")
    assert nothing.json()["error"] == "missing 'audio' file"
    assert page.http.post(url, content=b"x").json()["code"] == "missing_audio"
    noise = page.http.post(url, files={"audio": ("a.wav", b"not audio " * 1000)})
    assert (noise.status_code, noise.json()["code"]) == (400, "not_audio")
    assert noise.json()["error"].startswith("'a.wav' is not audio")
    half = b'--xyz\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nhalf'
    cut = page.http.post(url, content=half, headers={"Content-Type": kind})
    assert (cut.status_code, cut.json()["code"]) == (400, "truncated")
    large = page.http.post(
        url, content=iter([half, *[bytes(1 << 20)] * 101]), headers={"Content-Type": kind}
    )
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    assert large.json()["hint"]
    assert page.home.journal_count("quarantined") == before
    assert not list(page.home.inbox.rglob("*.wav"))


def test_a_form_that_is_too_large_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    """Also on a wire that takes more: this call itself takes no more."""
    page = Page(tmp_path)
    page.server.wire = "presigned"
    lines = (
        "POST /api/remove-vocals HTTP/1.1",
        "Host: localhost",
        "Content-Type: multipart/form-data; boundary=xyz",
        f"Content-Length: {150 << 20}",
    )
    with page, closing(socket.create_connection(("127.0.0.1", page.port), timeout=10)) as caller:
        caller.sendall("\r\n".join((*lines, "", "")).encode())
        answer = http.client.HTTPResponse(caller)
        answer.begin()
        told = json.load(answer)
    assert (answer.status, told["code"]) == (413, "too_large")
    assert told["hint"]


def test_a_caller_that_leaves_loses_nothing(page: Page) -> None:
    """It is delivered all the same, and given at once when it is asked for again."""
    before = page.server.paid["total"]
    with pytest.raises(httpx.ReadTimeout):
        files = {"audio": ("Left.wav", wav_bytes(44, seconds=SECONDS))}
        page.http.post("/api/remove-vocals", files=files, timeout=httpx.Timeout(30, read=0.05))
    page.delivered("Left.wav")
    assert remove_vocals(page, 44, "Again.wav").status_code == 200
    assert page.server.paid["total"] == before + 1


def test_a_failed_separation_has_the_code_of_the_quarantine(page: Page) -> None:
    """And a retry from the page brings it back to work."""
    page.server.scenario(jobs=[{"plan": "failed"}])
    answer = remove_vocals(page, 45, "Failing.wav")
    assert (answer.status_code, answer.json()["code"]) == (500, "separation_failed")
    job = answer.json()["id"]
    wait_for(lambda: "Failing.wav" in page.home.reasons())
    retried = page.http.post(f"/api/quarantine/{job}/retry")
    assert (retried.status_code, retried.json()["id"]) == (202, job)
    assert page.delivered("Failing.wav")["id"] == job
    assert page.http.post(f"/api/quarantine/{job}/retry").status_code == 404


def test_a_later_song_of_a_taken_name_is_separated_as_its_inbox_says(tmp_path: Path) -> None:
    """What was asked for its namesake, which landed beside the first one, is not asked for it."""
    page = Page(tmp_path)
    page.separation = {"stems": 4}
    with page:
        (page.home.inbox / "Song.wav").mkdir()  # so that the name is taken
        assert remove_vocals(page, 49, "Song.wav").status_code == 200
        (page.home.inbox / "Song.wav").rmdir()
        upload(page, "Song.wav", 50)
        wait_for(lambda: len(page.home.sidecars()) == 2)
        stems = {name: len(one["stems"]) for name, one in page.home.sidecars().items()}
    assert stems == {"Song (2)": 2, "Song": 4}


def test_a_pause_is_told_before_anything_is_sent(page: Page) -> None:
    page.server.scenario(post=[{"status": 401, "times": "ever"}])
    upload(page, "Waits.wav", 46)
    page.service.wait_for_event("service.paused")
    answer = remove_vocals(page, 47)
    assert (answer.status_code, answer.json()["code"]) == (503, "auth")
    assert int(answer.headers["retry-after"]) > 0
    state = page.http.get("/api/state").json()
    assert [pause["code"] for pause in state["service"]["pauses"]] == ["auth"]
    page.server.scenario(post=[])
    (page.home.inbox / "Waits.wav").unlink()
    assert KEY not in json.dumps(state) + answer.text


def test_a_budget_that_leaves_too_little_is_told(tmp_path: Path) -> None:
    """With the time at which there is more; what is paid for already is given all the same."""
    page = Page(tmp_path)
    page.budget = {"minutes_per_day": 0.15}
    with page:
        assert remove_vocals(page, 81, "Paid.wav").status_code == 200
        answer = remove_vocals(page, 82, "Too Much.wav")
        assert (answer.status_code, answer.json()["code"]) == (503, "budget")
        assert answer.json()["error"] == "budget.minutes_per_day leaves too little for it."
        assert 0 < int(answer.headers["retry-after"]) <= 90_000
        assert remove_vocals(page, 81, "Paid Again.wav").status_code == 200
        assert (page.home.inbox / "Too Much.wav").exists()
        money = page.http.get("/api/state").json()["service"]["money"]
        assert money["holding"]["key"] == "budget.minutes_per_day"
    assert page.server.paid["total"] == 1
