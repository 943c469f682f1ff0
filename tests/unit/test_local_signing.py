"""Signed stem URLs, without a server."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from stemwatch.local.signing import Signer, load_secret


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def query_of(path: str) -> tuple[str, str]:
    query = parse_qs(urlsplit(path).query)
    return query["expires"][0], query["sig"][0]


def test_a_url_is_good_until_it_expires() -> None:
    """To the second of its time, and no longer."""
    clock = Clock()
    signer = Signer(b"s" * 32, ttl=60, now=clock)
    path = signer.path("job_1", "vocals.wav")
    assert path.startswith("/v1/files/job_1/vocals.wav?expires=1060&sig=")
    expires, signature = query_of(path)
    clock.now = 1060
    assert signer.fault("job_1", "vocals.wav", expires, signature) is None
    clock.now = 1060.5
    assert "expired" in (signer.fault("job_1", "vocals.wav", expires, signature) or "")


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
    signer = Signer(b"s" * 32, ttl=60, now=Clock())
    signature = query_of(signer.path("job_1", "vocals.wav"))[1]
    assert "wrong" in (signer.fault(job_id, name, expires, signature) or "")


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    """It is random, kept, and readable by its owner only; a half-written one is replaced."""
    path = str(tmp_path / "secret")
    secret = load_secret(path)
    assert (len(secret), load_secret(path)) == (32, secret)
    assert os.stat(path).st_mode & 0o777 == 0o600
    (tmp_path / "secret.part").write_bytes(b"old")
    (tmp_path / "secret").write_bytes(b"half")
    assert len(load_secret(path)) == 32
    assert os.listdir(tmp_path) == ["secret"]
