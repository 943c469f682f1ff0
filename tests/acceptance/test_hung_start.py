"""A start while a share hangs: everybody else is served, and its owner too once it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.harness import KEY, SCALED, SEPARATE, Home, Service
from tests.acceptance.shared import QUICK, Shared
from tests.acceptance.songs import drop
from tests.faults.exports import SFTP_MOUNT, hung, why_no_shares
from tests.support.scenario.server import ScenarioServer

pytestmark = [
    SEPARATE,  # the folders are opened before anything is sent
    pytest.mark.skipif(
        why_no_shares(*SFTP_MOUNT) is not None, reason=str(why_no_shares(*SFTP_MOUNT))
    ),
]
# Healthy folders have to answer in time too, on a slow machine. That a folder's links are not known
# in time means nothing here: none has any.
QUICKLY = ("links=0.3", "disk_answer=3", "disk_recheck=0.2")
WATCH = {**QUICK, "rescan_seconds": 0.3}


@pytest.mark.parametrize(("name", "code"), [("inbox", "inbox"), ("outbox", "disk")])
def test_a_share_that_hangs_at_the_start_holds_its_own_inbox_only(
    tmp_path: Path, server: ScenarioServer, name: str, code: str
) -> None:
    """Told once; when it answers, its folders are made and looked at, and its songs are done."""
    shared, there = Shared(tmp_path, server, watch=WATCH), tmp_path / "there"
    her, his = shared.karaoke.root, shared.dj.inbox
    drop((there if name == "inbox" else her / "inbox") / "waits.wav", 1)
    with hung(her / name, there) as share:
        drop(his / "goes.wav", 2)
        with shared.home.scaled_service(0.02, *QUICKLY) as service:
            try:
                service.wait_for_event("job.done")
                assert server.paid["total"] == 1
                assert not (her / "archive").exists()
            finally:
                share.thaw()
            service.wait_for_event("job.done", count=2)
            service.wait_for_event("service.resumed")
            (told,) = service.events("service.paused")
            assert (told["reason"], told["inbox"]) == (code, "karaoke")
            assert f"{her / name} does not answer" in told["message"]
            assert "Traceback" not in service.text()
        assert list(shared.karaoke.sidecars()) == ["waits"]
        assert (her / "archive" / "waits.wav").exists()


def test_the_start_waits_while_the_only_inbox_hangs(tmp_path: Path, server: ScenarioServer) -> None:
    """Its folders may be well: this is no fault of the configuration, and nothing is half done."""
    home = Home(tmp_path, server.url, watch=WATCH)
    drop(home.inbox / "waits.wav", 1)
    with hung(home.outbox, tmp_path / "there") as share:
        service = Service(home, [*SCALED, "0.02", str(home.config), *QUICKLY], KEY)
        try:
            assert str(home.outbox) in service.wait_for_event("service.waits")["message"]
            assert not service.events("service.started")
            share.thaw()
            with service:
                service.wait_for_event("job.done")
            assert len(service.events("service.waits")) == 1
        finally:
            share.thaw()
            service.kill()
