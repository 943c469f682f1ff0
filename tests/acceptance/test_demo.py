"""`stemwatch demo` from end to end: a real service, a real separation, nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from stemwatch.server.made_song import write_song
from stemwatch.workers.progress import read
from tests.support import sidecars
from tests.support.commands import COMMAND, environment, run
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "my [song] é.flac"
    write_song(os.fspath(path), seconds=10.0, format="flac")
    return path


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A service, a server and a separation: seconds of computing, minutes on a busy machine."""
    return run("demo", *arguments, cwd=folder, timeout=150)


def living(folder: Path) -> list[int]:
    """Every process that has this folder in its command line."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(os.fspath(folder) in word for word in process.info["cmdline"] or ())
    ]


def test_a_given_song_comes_out_as_stems_twice_in_one_folder(tmp_path: Path, song: Path) -> None:
    """Stems, sidecar, tree, exit 0; the same folder again reuses what is there."""
    folder = tmp_path / "demo"
    first = demo(tmp_path, song.name, "--dir", "demo", "--format", "mp3")
    assert first.returncode == 0, first.stdout + first.stderr
    sidecar = folder / "outbox" / "my [song] é" / "my [song] é.stemwatch.json"
    sidecars.check(sidecar.read_text())
    found = json.loads(sidecar.read_text())
    assert [stem["id"] for stem in found["stems"]] == ["vocals", "instrumental"]
    assert (folder / "archive" / song.name).read_bytes() == song.read_bytes()
    assert song.exists()
    for part in (
        "Dropped: ",
        "The stems are in ",
        ": separating",
        '"schema"',
        "Found: ",
        "└─ stemwatch.yaml",
    ):
        assert part in first.stdout
    begin = first.stdout.index("a line for each key:\n")
    shown = first.stdout[begin : first.stdout.index("Found: ")].splitlines()[1:]
    assert shown == [
        f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in found.items()
    ]
    assert len(shown) <= 16
    assert living(folder) == []
    second = demo(tmp_path, song.name, "--dir", "demo", "--format", "mp3")
    assert second.returncode == 0, second.stdout + second.stderr
    assert '"reused_from": "my [song] é"' in second.stdout
    assert living(folder) == []


def test_a_song_that_is_none_ends_in_quarantine(tmp_path: Path) -> None:
    """Exit 3 with the reason; a name that would be left alone is refused at once."""
    (tmp_path / "text.mp3").write_text("no audio " * 4000)
    told = demo(tmp_path, "text.mp3", "--dir", "demo")
    assert told.returncode == 3, told.stdout + told.stderr
    assert "text.mp3: quarantined." in told.stderr
    assert "The stems are in" not in told.stdout
    assert f"The song is in {tmp_path}/demo/quarantine/text.mp3" in told.stdout
    assert (tmp_path / "demo" / "quarantine" / "text.mp3").exists()
    assert living(tmp_path / "demo") == []
    (tmp_path / "notes.txt").write_text("no song")
    assert run("demo", "notes.txt", cwd=tmp_path).returncode == 2


def test_a_folder_with_its_own_configuration_is_left_alone(tmp_path: Path) -> None:
    """A real installation is never taken for a demo: exit 78."""
    (tmp_path / "stemwatch.yaml").write_text("# mine\n")
    told = run("demo", "--dir", ".", cwd=tmp_path)
    assert told.returncode == 78
    assert (tmp_path / "stemwatch.yaml").read_text() == "# mine\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_is_left_running_however_it_ends(
    tmp_path: Path, song: Path, number: signal.Signals
) -> None:
    """Killed or interrupted in the middle, the service, its server and helpers end too."""
    folder = tmp_path / "demo"
    child = subprocess.Popen(
        [*COMMAND, "demo", song.name, "--dir", "demo"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: read(os.fspath(folder / "state")), what="a service")
    began = living(folder)
    assert len(began) >= 2  # the service and its separation server
    child.send_signal(number)
    _, said = child.communicate(timeout=60)
    assert child.returncode == (-number if number is signal.SIGKILL else 130)
    if number is signal.SIGINT:
        assert f"nothing is running now. Kept in {folder}: the song" in said
        assert f"`rm -r {folder}` removes all of it." in said
    wait_for(lambda: not living(folder), what="everything to end")
