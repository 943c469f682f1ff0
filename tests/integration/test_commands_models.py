"""`stemwatch models`: listed, fetched from a server that breaks off, imported without a network."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from stemwatch.errors import StemwatchError
from stemwatch.models.catalogue import MODELS, Model
from stemwatch.models.fetching import download
from tests.support.models import small_file

CONTENT = os.urandom(300_000)


def stemwatch(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stemwatch.cli", "models", *arguments],
        env={**os.environ, "STEMWATCH_MODELS": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


class Mirror:
    """What a server of one file was asked for, and how it answers."""

    def __init__(self) -> None:
        self.ranges: list[str | None] = []
        self.content = CONTENT
        self.break_after: int | None = 100_000  # bytes of each answer; None: all
        self.knows_ranges = True
        self.compresses = False
        self.status = 200


@contextmanager
def mirror() -> Iterator[tuple[Mirror, str]]:
    state = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.ranges.append(wanted)
            first = int(wanted[6:-1]) if wanted and state.knows_ranges else 0
            status = 206 if first else state.status
            if first >= len(state.content):
                status = 416
            rest = state.content[first:] if status < 400 else b""
            packs = state.compresses and "gzip" in self.headers.get("Accept-Encoding", "")
            rest = gzip.compress(rest) if packs else rest
            self.send_response(status)
            if packs:
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: state.break_after])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state, f"http://127.0.0.1:{server.server_port}/model.th"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def model(content: bytes = CONTENT) -> Model:
    return replace(MODELS["htdemucs"], sha256=hashlib.sha256(content).hexdigest(), megabytes=1)


def test_what_broke_off_goes_on_where_it_was(tmp_path: Path) -> None:
    """Twice cut, three requests, each from where the part ends."""
    seen: list[int] = []
    with mirror() as (state, url):
        path = download(model(), url, str(tmp_path), lambda have, _: seen.append(have))
    assert Path(path).read_bytes() == CONTENT
    assert state.ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert seen == sorted(seen)


def test_a_part_of_an_earlier_try_is_gone_on_with(tmp_path: Path) -> None:
    """Also where all of it is there, and where the server knows no ranges."""
    with mirror() as (state, url):
        state.break_after = None
        part = tmp_path / f".{model().file}.part"
        part.write_bytes(CONTENT[:5000])
        download(model(), url, str(tmp_path), lambda *_: None)
        download(model(), url, str(tmp_path), lambda *_: None)
        state.knows_ranges = False
        part.write_bytes(CONTENT[:5000])
        path = download(model(), url, str(tmp_path), lambda *_: None)
    assert state.ranges == ["bytes=5000-", "bytes=300000-", "bytes=5000-"]
    assert Path(path).read_bytes() == CONTENT


def test_an_address_that_compresses_gives_the_file_itself(tmp_path: Path) -> None:
    """Also what broke off there: the first request must not leave compressed bytes behind."""
    with mirror() as (state, url):
        state.compresses = True
        path = download(model(), url, str(tmp_path), lambda *_: None)
    assert Path(path).read_bytes() == CONTENT
    assert state.ranges == [None, "bytes=100000-", "bytes=200000-"]


def test_another_file_is_removed_and_named(tmp_path: Path) -> None:
    """Its digest is told; the next try begins anew."""
    with mirror() as (state, url):
        state.content, state.break_after = CONTENT[::-1], None
        with pytest.raises(StemwatchError, match="it was removed"):
            download(model(), url, str(tmp_path), lambda *_: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_names_the_way_round(tmp_path: Path, status: int) -> None:
    """It is not tried again."""
    with mirror() as (state, url):
        state.status = status
        with pytest.raises(StemwatchError, match=f"answers {status}") as caught:
            download(model(), url, str(tmp_path), lambda *_: None)
    assert "--url" in caught.value.hint
    assert len(state.ranges) == 1


@pytest.mark.parametrize("url", ["https://xn--/", "http://a..b/", "http://a\nb/"])
def test_an_address_that_cant_be_read_is_told(tmp_path: Path, url: str) -> None:
    """Each library raises something else for one."""
    with pytest.raises(StemwatchError, match="address that can't be read"):
        download(model(), url, str(tmp_path), lambda *_: None)


def test_a_server_without_end_fills_no_disk(tmp_path: Path) -> None:
    """What is much larger than announced is broken off."""
    with mirror() as (state, url):
        state.content, state.break_after = bytes(9_000_000), None
        with pytest.raises(StemwatchError, match="more than any model"):
            download(model(), url, str(tmp_path), lambda *_: None)


def test_a_dead_line_keeps_what_came(tmp_path: Path) -> None:
    """Each try is counted; after the last one a sentence says that the command goes on."""
    with mirror() as (state, url):
        state.break_after = 20_000
        with pytest.raises(StemwatchError, match="can't be fetched") as caught:
            download(model(), url, str(tmp_path), lambda *_: None)
    assert "give the command again" in caught.value.hint
    assert (tmp_path / f".{model().file}.part").stat().st_size == 100_000


def test_models_come_by_import_and_are_listed(tmp_path: Path) -> None:
    """A file of one's own needs its digest; then `list` shows it, and fetching it is not needed."""
    folder = tmp_path / "models"
    file = str(small_file(tmp_path))
    empty = stemwatch("list", folder=folder)
    assert empty.returncode == 0
    assert empty.stdout.count("not here") == len(MODELS)
    refused = stemwatch("import", file, folder=folder)
    assert refused.returncode == 78
    assert "none that stemwatch knows" in refused.stderr
    with open(file, "rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    brought = stemwatch("import", file, "--sha256", sha256, folder=folder)
    assert (brought.returncode, brought.stderr) == (0, "")
    assert "stemwatch serve --engine htdemucs" in brought.stdout
    listed = stemwatch("list", folder=folder).stdout
    assert "htdemucs     here, your own" in listed
    assert sha256 in listed
    again = stemwatch("fetch", "htdemucs", folder=folder)
    assert (again.returncode, "is in" in again.stdout) == (0, True)


def test_a_licence_is_accepted_by_a_person(tmp_path: Path) -> None:
    """Shown, and without a terminal refused: nothing is fetched, no folder made."""
    with mirror() as (state, url):
        done = stemwatch("fetch", "htdemucs", "--url", url, folder=tmp_path / "models")
        assert done.returncode == 78
        assert "for\nresearch" in done.stdout
        assert "--accept-license" in done.stderr
        assert state.ranges == []
    assert not (tmp_path / "models").exists()


def test_a_wrong_file_is_never_installed(tmp_path: Path) -> None:
    """With the licence accepted, from a mirror that has something else: exit 1, nothing kept."""
    with mirror() as (state, url):
        state.break_after = None
        arguments = ("fetch", "htdemucs", "--accept-license", "--url", url)
        done = stemwatch(*arguments, folder=tmp_path)
    assert done.returncode == 1
    assert "it was removed" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unknown_models_and_folders_are_faults(tmp_path: Path) -> None:
    """With the nearest name, and with the path."""
    done = stemwatch("fetch", "htdemuks", folder=tmp_path)
    assert (done.returncode, "Did you mean 'htdemucs'?" in done.stderr) == (78, True)
    (tmp_path / "file").touch()
    file = str(small_file(tmp_path))
    with open(file, "rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    done = stemwatch("import", file, "--sha256", sha256, folder=tmp_path / "file")
    assert done.returncode == 78
    assert "--model-dir" in done.stderr
