"""What a person decides over HTTP: which song goes, waits or is put aside; and into which inbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.acceptance.songs import wav_bytes
from tests.support.page import SECONDS, Page, Stream, remove_vocals, upload
from tests.support.waiting import wait_for


def test_a_song_in_quarantine_is_discarded_to_the_archive(tmp_path: Path) -> None:
    """Its reason goes with it; what may be paid for is given up only on a second word."""
    with Page(tmp_path) as page:
        (page.home.inbox / "Noise.wav").write_text("not audio at all " * 99)
        page.server.scenario(jobs=[{"plan": "failed"}])
        job = remove_vocals(page, 51, "Given Up.wav").json()["id"]
        wait_for(lambda: set(page.home.reasons()) == {"Noise.wav", "Given Up.wav"})
        held = {one["name"]: one["id"] for one in page.http.get("/api/state").json()["jobs"]}
        assert page.http.post(f"/api/quarantine/{held['Noise.wav']}/discard").status_code == 202
        refused = page.http.post(f"/api/quarantine/{job}/discard")
        assert (refused.status_code, refused.json()["code"]) == (409, "paid")
        sure = page.http.post(f"/api/quarantine/{job}/discard", json={"yes": True})
        told = {"id": job, "state": "gone", "words": "its original is in the archive"}
        assert sure.json() == told
        assert page.home.reasons() == {}
        archived = {one.name for one in page.home.archive.iterdir()}
        assert archived == {"Noise.wav", "Given Up.wav"}
        assert list(page.home.quarantine.iterdir()) == []
        assert page.http.post(f"/api/quarantine/{job}/discard").status_code == 404
        assert page.http.get("/api/state").json()["jobs"] == []


def _is_first(jobs: list[dict[str, Any]], job_id: int) -> bool:
    return any(one["id"] == job_id and one["first_at"] for one in jobs)


def test_a_pause_its_end_and_an_order_are_calls_too(tmp_path: Path) -> None:
    """As documented; who watches hears of each by an event."""
    page = Page(tmp_path)
    page.api = {"max_concurrent": 1}  # two at once may be submitted in any order
    with page:
        for wrong in ("soon", 5, "2020-01-01"):
            refused = page.http.post("/api/pause", json={"until": wrong})
            assert (refused.status_code, refused.json()["code"]) == (400, "bad_request")
        with Stream(page) as stream:
            assert stream.event()[0] == "snapshot"  # else the pause could be in it already
            held = page.http.post("/api/pause", json={"until": "2h"})
            assert held.status_code == 202
            assert held.json()["until"].endswith("Z")
            told = stream.until(lambda name, data: name == "service" and data["pauses"])
            assert [one["code"] for one in told["pauses"]] == ["on_hold"]
            for number in (91, 92):
                upload(page, f"Waits {number}.wav", number)
                wait_for(lambda: page.home.journal_count("queued") == number - 90)  # noqa: B023
            last = page.home.rows("SELECT max(id) FROM jobs")[0][0]
            answer = page.http.post(f"/api/jobs/{last}/first")
            words = "Waits 92.wav goes next once the pause `on_hold` is over"
            assert (answer.status_code, answer.json()["words"]) == (202, words)
            stream.until(lambda name, data: name == "jobs" and _is_first(data["jobs"], last))
            asked = page.http.post(
                "/api/remove-vocals", files={"audio": ("x.wav", wav_bytes(93, seconds=5.0))}
            )
            assert (asked.status_code, asked.json()["code"]) == (503, "on_hold")
            assert page.server.paid["total"] == 0
            assert page.http.post("/api/resume").status_code == 202
            page.delivered("Waits 91.wav")
        assert page.http.post(f"/api/jobs/{last}/first").status_code == 404
        rows = page.home.rows("SELECT relpath FROM jobs ORDER BY submitted_at")
        assert bytes(rows[0][0]) == b"Waits 92.wav"


def test_a_song_is_cancelled_until_it_is_submitted(tmp_path: Path) -> None:
    """Its original is in the archive and nothing is paid; one that is under way goes on."""
    with Page(tmp_path) as page:
        page.server.scenario(job_seconds=3600)
        paused = page.http.post("/api/jobs/1/cancel")
        assert paused.status_code == 404
        upload(page, "Under Way.wav", 71)
        wait_for(lambda: page.home.journal_count("separating") == 1)
        busy = page.http.post("/api/jobs/1/cancel")
        assert (busy.status_code, busy.json()["code"]) == (409, "not_now")
        page.server.finish()
        page.delivered("Under Way.wav")
        page.server.scenario(post=[{"status": 402, "times": "ever"}])
        for number in (72, 73):
            upload(page, f"Party/Waits {number}.wav", number)
        page.service.wait_for_event("service.paused")
        wait_for(lambda: page.home.journal_count("queued") == 2)
        state = page.http.get("/api/state").json()["jobs"]
        # Which of two that came together is taken first is chance.
        unwanted, other = [one for one in state if one["state"] == "queued"]
        answer = page.http.post(f"/api/jobs/{unwanted['id']}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (202, "gone")
        archived = [one.name for one in (page.home.archive / "Party").iterdir()]
        assert archived == [unwanted["name"]]
        assert page.home.waiting() == [f"Party/{other['name']}"]
        assert page.home.journal_count("queued") == 1
        away = page.home.inbox.rename(tmp_path / "away")
        unclear = page.http.post(f"/api/jobs/{other['id']}/cancel")
        # It is not gone: back with its share it would be a new song, and paid for.
        assert (unclear.status_code, unclear.json()["code"]) == (503, "inbox")
        assert page.home.journal_count("queued") == 1
        away.rename(page.home.inbox)
    assert page.server.paid["total"] == 1


def test_several_inboxes_each_by_its_name(tmp_path: Path) -> None:
    """With a preset of its own; a name that is none is told which there are."""
    page = Page(tmp_path)
    page.inboxes = {"dj": {}, "karaoke": {"presets": {"small": {"format": "flac"}}}}
    with page:
        song = wav_bytes(61, seconds=SECONDS)
        answer = page.http.put("/api/inbox/karaoke?path=small/Mine.wav", content=song)
        assert answer.status_code == 201, answer.text
        assert answer.json()["inbox"] == "karaoke"
        assert page.delivered("Mine.wav")["inbox"] == "karaoke"
        assert list((tmp_path / "karaoke" / "outbox" / "small" / "Mine").glob("*.flac"))
        nobody = page.http.put("/api/inbox/default?path=a.wav", content=song)
        assert nobody.json()["hint"] == "There is dj, karaoke."
        shown = page.http.get("/api/state").json()["service"]["inboxes"]
        assert [(one["name"], one["presets"]) for one in shown] == [
            ("dj", []), ("karaoke", ["small"]),
        ]  # fmt: skip
        assert page.http.post(
            "/api/remove-vocals?inbox=dj", files={"audio": ("Ours.wav", song)}
        ).status_code == 200  # fmt: skip
        assert page.delivered("Ours.wav")["inbox"] == "dj"
        mp3 = page.http.get(f"/api/songs/{page.delivered('Mine.wav')['id']}").json()
        assert mp3["files"][0]["pcm"] is None  # FLAC is played as a preview
