"""`stemwatch discard` beside a running service, and what it asks on a terminal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.acceptance.harness import KEY, SEPARATE, STEMWATCH, Home
from tests.acceptance.songs import drop
from tests.support.scenario.server import ScenarioServer
from tests.support.terminal import terminal
from tests.support.waiting import wait_for

QUICK = {"settle_seconds": 0.05, "rescan_seconds": 0.3}
pytestmark = SEPARATE


def test_the_service_goes_on_and_forgets_the_song(tmp_path: Path, wire: str) -> None:
    """Named just when it comes into quarantine: its move is waited for, and never half done."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.05) as server:
        home = Home(tmp_path, server.url, watch=QUICK)
        with home.service() as service:
            (home.inbox / "bad.wav").write_bytes(b"no sound" * 99)
            service.wait_for_event("job.quarantined")
            done = home.command("discard", "bad.wav", "-c", str(home.config))
            assert done.returncode == 0, done.stderr
            assert (home.archive / "bad.wav").exists()
            assert list(home.quarantine.iterdir()) == []
            drop(home.inbox / "song.wav")
            wait_for(lambda: home.journal_count("done"))
        assert home.waiting() == []
        assert home.journal_count("gone") == 1


def test_what_is_paid_for_is_asked_about(tmp_path: Path, wire: str) -> None:
    """On a terminal, one by one: a No keeps the song, and it costs the others nothing."""
    with ScenarioServer(wire=wire, key=KEY, job_seconds=0.05) as server:
        server.scenario(jobs=[{"plan": "failed"}])
        home = Home(tmp_path, server.url, watch=QUICK)
        drop(home.inbox / "paid.wav", 1)
        (home.inbox / "free.wav").write_bytes(b"no sound" * 99)
        assert home.command("run", "--once", "-c", str(home.config)).returncode == 3
        with terminal(100) as screen:
            asking = subprocess.Popen(
                [*STEMWATCH, "discard", "--all", "-c", str(home.config)],
                cwd=home.root,
                env=home.env() | {"PYTHONPATH": str(Path(__file__).parents[2])},
                stdin=screen.slave,
                stdout=screen.slave,
                stderr=screen.slave,
            )
            screen.wait_for("paid.wav: it was charged, although no stems came of it", "Discard it?")
            os.write(screen.master, b"n\n")
            assert asking.wait(60) == 0
        assert [name.name for name in home.archive.iterdir()] == ["free.wav"]
        assert list(home.reasons()) == ["paid.wav"]
