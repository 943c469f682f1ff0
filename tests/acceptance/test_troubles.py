"""A folder that takes nothing holds its own songs only, and these go on as soon as it does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.harness import SEPARATE, Home, Service
from tests.acceptance.songs import drop
from tests.faults.disks import Tmpfs, why_no_mounts
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

SCALE = 0.02
QUICK = {"settle_seconds": 0.05}

pytestmark = SEPARATE  # disks are the same on both wires


@contextmanager
def refusing(folder: Path) -> Iterator[Callable[[], None]]:
    """`folder`, read-only until the function is called that this gives."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        if os.geteuid() != 0:
            stack.callback(folder.chmod, 0o755)
            folder.chmod(0o555)
            yield lambda: folder.chmod(0o755)
            return
        if (reason := why_no_mounts()) is not None:  # no permission stops root
            pytest.skip(reason)
        disk = stack.enter_context(Tmpfs(folder))
        disk.read_only(True)
        yield lambda: disk.read_only(False)


def in_bad(home: Home, number: int) -> None:
    drop(home.inbox / "bad" / f"bad{number}.wav", number)


def archived(home: Home, below: str = "") -> int:
    return len(list((home.archive / below).glob("*.wav")))


def pauses(service: Service) -> list[str]:
    return [event["reason"] for event in service.events("service.paused")]


@pytest.mark.parametrize("root", ["outbox", "archive"])
def test_a_folder_that_takes_nothing_holds_its_own_songs_only(
    tmp_path: Path, server: ScenarioServer, root: str
) -> None:
    """One pause until the next look; then the others flow, and nothing is fetched in vain."""
    held = {"download": [{"until": "told", "times": "ever"}]}
    server.scenario(by_name={f"bad{number}.wav": held for number in range(3)})
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    # One pause is told of three songs if they meet it while it lasts: they come to it together.
    recheck = 1.0
    running = home.scaled_service(SCALE, f"disk_recheck={recheck}", "download_stall=60")
    with refusing(getattr(home, root) / "bad") as mend, running as service:
        (home.inbox / "bad").mkdir()
        for number in range(3):
            in_bad(home, number)
        wait_for(lambda: len({at["path"].split("/")[2] for at in server.requests("download")}) == 3)
        server.go_on()
        told = service.wait_for_event("folder.refuses")
        assert told["folder"] == str(getattr(home, root) / "bad")
        for number in range(3, 9):
            drop(home.inbox / f"song{number}.wav", number)
        in_bad(home, 9)  # its results have nowhere to go: it is not paid for
        wait_for(lambda: archived(home) == 6, what=f"six songs in\n{service.text()}")
        looked = time.monotonic()
        wait_for(lambda: time.monotonic() - looked > 3 * recheck)  # that many looks at the folder
        assert pauses(service) == ["disk"]
        assert server.paid["total"] == (9 if root == "outbox" else 10)
        mend()
        mended = time.monotonic()
        wait_for(lambda: archived(home, "bad") == 4, what=f"all songs in\n{service.text()}")
        assert time.monotonic() - mended < 4 * recheck + 30.0  # the work itself, on a busy machine
        assert len(service.events("folder.refuses")) == len(service.events("folder.well")) == 1
        assert len(home.sidecars()) == 10
    assert server.paid["total"] == 10
    assert len(server.requests("download")) == 2 * 10
    assert home.reasons() == {}


def test_a_file_in_the_way_of_a_folder_is_waited_for(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """Paid for and never given up; one run says so and ends, a service goes on at once."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    home.outbox.mkdir()
    (home.outbox / "bad").write_text("a person's own file")
    (home.inbox / "bad").mkdir()
    in_bad(home, 0)
    with home.scaled_service(SCALE, "--once") as service:
        assert service.process.wait(60) == 1, service.text()
    assert (server.paid["total"], home.reasons()) == (1, {})
    with home.scaled_service(SCALE) as service:
        told = service.wait_for_event("folder.refuses")
        assert "Move that file away" in told["hint"]
        in_bad(home, 1)
        service.wait_for_event("job.waits", count=2)
        (home.outbox / "bad").unlink()
        wait_for(lambda: archived(home, "bad") == 2, what=f"both songs in\n{service.text()}")
    assert len(server.requests("download")) == 2 * 2
    assert server.paid["total"] == 2


def test_a_run_that_is_to_end_does_not_wait_for_such_a_folder(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """What only a person can mend is left for the next run, which tries it at once."""
    home = Home(tmp_path, watch=QUICK, base_url=server.url)
    held = {"get": [{"until": "told", "times": "ever"}]}
    server.scenario(by_name={"song.wav": {"plan": {"seconds": 3600}}, "bad0.wav": held})
    with refusing(home.outbox / "bad") as mend:
        (home.inbox / "bad").mkdir()
        in_bad(home, 0)
        drop(home.inbox / "song.wav", 1)
        with home.scaled_service(SCALE, "--once") as service:
            # The pause for the bad song would hold the other one's submission, or its stems.
            wait_for(lambda: server.paid["total"] == 2)
            server.go_on()
            service.wait_for_event("folder.refuses")  # logged once the pause is over
            server.finish()
            assert service.process.wait(60) == 1, service.text()
        assert list(home.sidecars()) == ["song"]
        mend()
        with home.scaled_service(SCALE, "--once") as service:
            assert service.process.wait(60) == 0, service.text()
        assert len(home.sidecars()) == 2
    assert server.paid["total"] == 2
