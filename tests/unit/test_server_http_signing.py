"""Signed stem URLs, without a server."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from stemwatch.server.http.signing import Signer
from stemwatch.server.secret_file import load_secret
from tests.support.waiting import Clock


def signer(clock: Clock | None = None) -> Signer:
    return Signer(b"s" * 32, root="/v1/files", ttl=60, now=clock or Clock())


def query_of(path: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(path).query))


def test_a_url_is_good_until_it_expires() -> None:
    """To the second of its time, and no longer."""
    clock = Clock()
    files = signer(clock)
    path, expires = files.mint("job_1", "vocals.wav")
    assert path.startswith("/v1/files/job_1/vocals.wav?expires=1060&sig=")
    assert expires == 1060
    clock.now = 1060
    assert files.fault("job_1", "vocals.wav", query_of(path)) is None
    clock.now = 1060.5
    assert "expired" in (files.fault("job_1", "vocals.wav", query_of(path)) or "")


@pytest.mark.parametrize(
    ("job_id", "name", "expires"),
    [
        ("job_2", "vocals.wav", "1060"),
        ("job_1", "drums.wav", "1060"),
        ("job_1", "vocals.wav", "9999"),
        ("job_1v", "ocals.wav", "1060"),
        ("job_1", "vocals.wav", "1060\ud800"),
        ("job_1", "vocals.wav", ""),
    ],
)
def test_a_signature_is_for_one_file_and_time(job_id: str, name: str, expires: str) -> None:
    """What was signed for one thing opens no other."""
    query = {**query_of(signer().mint("job_1", "vocals.wav").path), "expires": expires}
    assert "wrong" in (signer().fault(job_id, name, query) or "")


def test_a_signature_is_for_its_place_and_what_it_is_bound_to() -> None:
    """A stem's URL takes no upload, and an upload of one type none of another."""
    uploads = Signer(b"s" * 32, root="/api/v1/uploads", ttl=60, now=Clock())
    query = query_of(uploads.mint("up_1", "input.mp3", "audio/mpeg").path)
    assert uploads.fault("up_1", "input.mp3", query, "audio/mpeg") is None
    assert "wrong" in (uploads.fault("up_1", "input.mp3", query, "audio/wav") or "")
    assert "wrong" in (signer().fault("up_1", "input.mp3", query, "audio/mpeg") or "")
    assert "wrong" in (uploads.fault("up_1", "input.mp3", {}, "audio/mpeg") or "")


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    """It is random, kept, and readable by its owner only; a half-written one is replaced."""
    path = str(tmp_path / "secret")
    secret = load_secret(path)
    assert (len(secret), load_secret(path)) == (32, secret)
    assert os.stat(path).st_mode & 0o777 == 0o600
    (tmp_path / "secret").write_bytes(b"half")
    assert len(load_secret(path)) == 32
    assert os.listdir(tmp_path) == ["secret"]


def test_servers_that_start_at_once_take_one_secret(tmp_path: Path) -> None:
    """Several front ends share a folder: a URL of one must be good at each other."""
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(load_secret, [str(tmp_path / "secret")] * 32))
    assert len(found) == 1
    assert os.listdir(tmp_path) == ["secret"]
