"""Standing still is not being finished: a file that a program holds open for writing waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.harness import SEPARATE, Home, Service
from tests.acceptance.songs import drop, encode
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for

# It writes half of a song, and the rest once it is told to. An MP3's header promises nothing.
WRITER = """
import sys
path, mode = sys.argv[1:]
data = open(path + ".source", "rb").read()
with open(path, mode) as file:
    file.write(data[: len(data) // 2])
    file.flush()
    print("half", flush=True)
    sys.stdin.readline()
    file.write(data[len(data) // 2 :])
"""


pytestmark = SEPARATE


@contextmanager
def half_written(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has half of a song in a file, and the file still open."""
    source = Path(f"{path}.source")
    encode(source.with_suffix(".mp3"), 7)
    source.with_suffix(".mp3").rename(source)
    command = [sys.executable, "-c", WRITER, os.fspath(path), "wb"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "half\n"
            yield writer
        finally:
            writer.kill()


def finish(writer: subprocess.Popen[str]) -> None:
    assert writer.stdin is not None
    writer.stdin.write("\n")
    writer.stdin.close()
    assert writer.wait(20) == 0


def reasons(home: Home) -> dict[str, str]:
    document = json.loads(home.command("status", "--json").stdout)
    return {one["relpath"]: one["reason"] for one in document["inboxes"][0]["waits"]["files"]}


@pytest.mark.parametrize("there", ["before the start", "while it runs"])
def test_half_a_song_is_not_paid_for(tmp_path: Path, server: ScenarioServer, there: str) -> None:
    """Its writer pauses for much longer than the settle time, and goes on."""
    home = Home(tmp_path, server.url)
    path = home.inbox / "written.mp3"
    if there == "before the start":
        with half_written(path) as writer, home.service() as service:
            _wait_and_finish(home, service, writer)
    else:
        with home.service() as service, half_written(path) as writer:
            _wait_and_finish(home, service, writer)
    assert server.paid["total"] == 2
    assert [s["source"]["relpath"] for s in home.sidecars().values()].count("written.mp3") == 1
    assert (home.archive / "written.mp3").read_bytes() == Path(f"{path}.source").read_bytes()


def _wait_and_finish(home: Home, service: Service, writer: subprocess.Popen[str]) -> None:
    drop(home.inbox / "other.wav", 3)  # it comes later, and passes it
    wait_for((home.archive / "other.wav").exists)
    assert reasons(home)["written.mp3"] == "writing"
    wait_for(lambda: "still open for writing" in home.command("status").stdout)
    # After twenty settle times it is said in the log as well, and nobody waits for it.
    service.wait_for_event("file.unreadable", count=1)
    finish(writer)
    wait_for((home.archive / "written.mp3").exists)


def test_an_intermediate_waits_for_what_is_made_of_it(
    tmp_path: Path, server: ScenarioServer
) -> None:
    """A converter deletes the WEBM when its MP3 is done; only the MP3 is a song."""
    home = Home(tmp_path, server.url)
    with home.service(), half_written(home.inbox / "Clip.mp3") as writer:
        encode(home.inbox / "Clip.webm", 8)
        drop(home.inbox / "other.wav", 3)
        wait_for((home.archive / "other.wav").exists)
        assert (home.inbox / "Clip.webm").exists()
        (home.inbox / "Clip.webm").unlink()
        finish(writer)
        wait_for((home.archive / "Clip.mp3").exists)
    assert server.paid["total"] == 2


def test_a_download_given_up_holds_no_song_for_ever(tmp_path: Path, server: ScenarioServer) -> None:
    """A day after its last change; `status` tells of it before."""
    home = Home(tmp_path, server.url)
    drop(home.inbox / "whole.wav", 4)
    part = drop(home.inbox / "whole.wav.part", 4)
    with home.service():
        drop(home.inbox / "other.wav", 3)
        wait_for((home.archive / "other.wav").exists)
        assert reasons(home) == {"whole.wav": "held"}
        part.unlink()
        wait_for((home.archive / "whole.wav").exists)
