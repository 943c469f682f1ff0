"""What the log of a real run says: sentences on a terminal, fields for machines."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.acceptance.harness import KEY, SEPARATE, STEMWATCH, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.terminal import terminal

pytestmark = SEPARATE  # a line of the log does not depend on the wire


def test_somebody_at_a_terminal_reads_sentences(tmp_path: Path, wire: str) -> None:
    """What came in, what came out of it and where it lies, what can't be done and why."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        home = Home(tmp_path, server.url, log={"format": "auto", "level": "info"})
        drop(home.inbox / "Party" / "Pop Song.wav", 1)
        (home.inbox / "text.mp3").write_text("no audio " * 4000)
        with terminal() as screen:
            child = subprocess.Popen(
                [*STEMWATCH, "run", "--once", "-c", str(home.config)],
                cwd=tmp_path,
                env=home.env(),
                stderr=screen.slave,
                stdin=subprocess.DEVNULL,
            )
            assert child.wait(60) == 3
            said = screen.seen
    assert f"watches {home.inbox} (" in said
    assert " Party/Pop Song.wav taken in (5 s of audio)\n" in said
    assert " Party/Pop Song.wav delivered in " in said
    assert f"-> {home.outbox}/Party/Pop Song\n" in said
    assert "error: text.mp3 quarantined (not_audio): " in said
    assert "Stopped.\n" in said
    assert "job.delivered" not in said


def test_a_machine_reads_where_a_song_lies_and_whose_it_is(tmp_path: Path, wire: str) -> None:
    """Two songs of one name are told apart by each line."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.1) as server:
        folders = {name: f"dj/{name}" for name in ("inbox", "outbox", "quarantine", "archive")}
        home = Home(tmp_path, server.url, folders=None, inboxes={"dj": {"folders": folders}})
        drop(tmp_path / "dj" / "inbox" / "Party" / "a.wav", 1)
        drop(tmp_path / "dj" / "inbox" / "a.wav", 2)
        with home.service() as service:
            service.wait_for_event("job.done", count=2)
        for event in ("job.queued", "job.delivered", "job.done"):
            found = {(e["name"], e["relpath"], e["inbox"]) for e in service.events(event)}
            assert found == {("a.wav", "Party/a.wav", "dj"), ("a.wav", "a.wav", "dj")}
