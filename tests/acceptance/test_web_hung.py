"""A share that hangs under an upload holds up that upload alone."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from stemwatch.receiving.streaming import FLUSH
from stemwatch.web.api.landing import HIDDEN
from tests.faults.exports import SFTP_MOUNT, SftpMount, why_no_shares
from tests.support.page import Page, remove_vocals, upload
from tests.support.waiting import wait_for

# The service as it is, but from a SIGUSR2 on a minute of a disk that takes nothing is 3 s. Not from
# its start: a slow machine may need longer than that until the share hangs.
_IMPATIENT = (
    "import signal; import stemwatch.receiving.streaming as streaming;"
    "signal.signal(signal.SIGUSR2, lambda *_: setattr(streaming, 'STALL', 3.0));"
    "from tests.acceptance.scaled import main; raise SystemExit(main())"
)


@pytest.mark.skipif(why_no_shares(*SFTP_MOUNT) is not None, reason=str(why_no_shares(*SFTP_MOUNT)))
def test_an_upload_whose_share_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """Closing its file, and removing it, hang as well: for hours, with all else, on the loop."""
    there = tmp_path / "there"
    there.mkdir()
    page = Page(tmp_path)
    page.command = lambda config: [sys.executable, "-c", _IMPATIENT, "1", str(config)]

    def hidden() -> list[Path]:
        return list(there.glob(f"{HIDDEN}*"))

    def opened() -> bool:
        """Whether the service has the answer to its open: until then a freeze holds up that."""
        files = psutil.Process(page.service.process.pid).open_files()
        return any(HIDDEN in file.path for file in files)

    with (
        SftpMount(tmp_path / "inbox", there) as share,
        page,
        closing(HTTPConnection("127.0.0.1", page.port, timeout=30)) as upload,
    ):
        upload.putrequest("PUT", "/api/inbox/default?path=Hangs.wav")
        upload.putheader("Content-Length", str(2 * FLUSH))
        upload.endheaders(bytes(100_000))
        wait_for(opened)
        share.freeze()
        try:
            page.service.signal(signal.SIGUSR2)
            assert page.http.get("/healthz").status_code == 200  # so it was handled before
            upload.send(bytes(2 * FLUSH - 100_000))
            answer = upload.getresponse()
            told = json.loads(answer.read())
            assert (answer.status, told["code"]) == (503, "disk")
            assert told["error"] == "The disk took nothing for a minute."
            assert page.http.get("/healthz", timeout=5).status_code == 200
        finally:
            share.thaw()
        wait_for(lambda: not hidden())
        assert page.service.stop() == 0


def test_no_call_to_a_share_is_made_on_the_loop(tmp_path: Path) -> None:
    """Any of them may hang. What of a song is sent, read, heard, drawn and mixed is in threads.

    So is what the page's buttons do with songs in quarantine, and with one that waits.
    """
    names = ("inbox", "outbox", "quarantine", "archive")
    notes, folders = tmp_path / "notes", [str(tmp_path / name) for name in names]
    noting = [sys.executable, "-m", "tests.acceptance.on_the_loop"]
    page = Page(tmp_path)
    page.command = lambda config: [*noting, str(config), str(notes), *folders]
    with page:
        upload(page, "Party/Song.wav", 1)
        song = page.delivered("Song.wav")["id"]
        (page.home.outbox / "Party" / "Song" / ".stemwatch-waveforms").unlink()
        for path in ("", "/stems/vocals", "/stems/vocals/preview/0", "/zip", "/peaks"):
            assert page.http.get(f"/api/songs/{song}{path}").status_code == 200
        mix = {"gains": {"vocals": 1.0}, "format": "wav"}
        assert page.http.post(f"/api/songs/{song}/mix", json=mix).status_code == 200
        assert remove_vocals(page, 2).status_code == 200
        for name in ("Again", "Unwanted"):
            (page.home.inbox / f"{name}.wav").write_text(name * 99)
        wait_for(lambda: len(page.home.reasons()) == 2)
        held = {one["name"]: one["id"] for one in page.http.get("/api/state").json()["jobs"]}
        for name, what in (("Again", "retry"), ("Unwanted", "discard")):
            answer = page.http.post(f"/api/quarantine/{held[f'{name}.wav']}/{what}")
            assert answer.status_code == 202, answer.text
        assert page.http.post("/api/pause", json={}).status_code == 202
        upload(page, "Waits.wav", 3)
        wait_for(lambda: page.home.journal_count("queued") == 1)
        waits = page.home.rows("SELECT id FROM jobs WHERE state = 'queued'")[0][0]
        assert page.http.post(f"/api/jobs/{waits}/cancel").status_code == 202
    assert not notes.exists(), notes.read_text()
