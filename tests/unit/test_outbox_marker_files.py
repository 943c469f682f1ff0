"""`outbox.ignore_files`: which files, what they disturb, and a disk that refuses them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stemwatch.config import Settings, load
from stemwatch.disks.places import Anchor, Place
from stemwatch.errors import ConfigFault, PauseService
from stemwatch.outbox import sidecar
from stemwatch.outbox.marker_files import write_missing
from stemwatch.service.upkeep.marking import Marking
from tests.support.configured import faults_of, write

ALL = "outbox: {ignore_files: [navidrome, jellyfin, mpd, minidlna, plex]}"


def loaded(tmp_path: Path, text: str) -> Settings:
    return load(write(tmp_path, text), env={"HOME": str(tmp_path)})


def test_each_program_has_its_file(tmp_path: Path) -> None:
    """An empty one where that means everything, else a pattern for everything; by default none."""
    assert loaded(tmp_path, "{}").outbox.markers == {}
    assert loaded(tmp_path, ALL).outbox.markers == {
        ".ndignore": b"",
        ".ignore": b"",
        ".mpdignore": b"*\n",
        ".nomedia": b"",
        ".plexignore": b"*\n*/\n*/*\n",
    }
    twice = loaded(tmp_path, "outbox: {ignore_files: [MPD, mpd, Jellyfin]}")
    assert twice.outbox.ignore_files == ("mpd", "jellyfin")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("[mpd, jelyfin]", "1: outbox.ignore_files[1]: found 'jelyfin'; did you mean jellyfin?"),
        ("[kodi]", "1: outbox.ignore_files[0]: found 'kodi'; allowed are navidrome, jellyfin, mpd, "
                   "minidlna, plex."),
        ("[1]", "1: outbox.ignore_files[0]: found 1; allowed is text."),
        ("mpd", "1: outbox.ignore_files: found 'mpd'; allowed is a list such as [a, b]."),
    ],
)  # fmt: skip
def test_an_unknown_program_is_a_fault(tmp_path: Path, given: str, told: str) -> None:
    """With the nearest known one."""
    found = faults_of(tmp_path, f"outbox: {{ignore_files: {given}}}", {"HOME": str(tmp_path)})
    assert found == (told,)


def test_an_inbox_takes_them_over_or_has_its_own(tmp_path: Path) -> None:
    """A fault of the top level's is told once, not for each inbox."""
    inboxes = "inboxes: {a: {}, b: {outbox: {ignore_files: []}}}"
    one, other = loaded(tmp_path, f"{ALL}\n{inboxes}").every_inbox
    assert (len(one.outbox.markers), len(other.outbox.markers)) == (5, 0)
    with pytest.raises(ConfigFault) as caught:
        loaded(tmp_path, f"outbox: {{ignore_files: [x]}}\n{inboxes}")
    assert len(caught.value.faults) == 1


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    """A user's own file, a folder, a link that leads nowhere; and a second time nothing is done."""
    files = loaded(tmp_path, ALL).outbox.markers
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    (outbox / ".mpdignore").write_text("Covers\n")
    (outbox / ".ignore").mkdir()
    (outbox / ".nomedia").symlink_to("nowhere")
    assert write_missing(str(outbox), files) == [".ndignore", ".plexignore"]
    assert (outbox / ".mpdignore").read_text() == "Covers\n"
    assert (outbox / ".nomedia").is_symlink()
    assert write_missing(str(outbox), files) == []
    assert len([*outbox.iterdir()]) == 5  # nothing half-written is left


def test_they_are_nothing_to_us(tmp_path: Path) -> None:
    """No delivery to the rebuild; and an outbox that holds nothing else still counts as empty."""
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    write_missing(str(outbox), loaded(tmp_path, ALL).outbox.markers)
    assert [*sidecar.find(str(outbox))] == []
    anchor = Anchor(str(outbox), device=1, top="/")
    anchor.recall(f"2 {tmp_path}")  # an earlier run had a disk there, which is awaited again
    assert (anchor.device, anchor.top) == (None, str(tmp_path))


def test_a_disk_that_refuses_is_a_pause_and_nothing_worse(tmp_path: Path) -> None:
    """/sys lets nobody make a file, and /proc says so in another way; a mount may be away."""
    with capture_logs() as told:
        asyncio.run(mark(Place(outbox="/proc/self")))
    assert [line["event"] for line in told] == ["outbox.unmarked"]
    assert "/proc/self/.stemwatch-" in told[0]["message"]
    with pytest.raises(PauseService, match=r"/sys/kernel"):
        asyncio.run(mark(Place(outbox="/sys/kernel")))
    away = str(tmp_path / "away")
    place = Place(outbox=away, anchors={away: Anchor(away)})
    with pytest.raises(PauseService, match="missing"):
        asyncio.run(mark(place))


async def mark(place: Place) -> None:
    await Marking(place, {".ndignore": b""}).mark()
