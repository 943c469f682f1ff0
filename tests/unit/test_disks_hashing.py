"""A file's SHA-256: of as much as was asked for, and not to its end where nobody wants it."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from stemwatch.disks.hashing import sha256

CONTENT = os.urandom(300_000)


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 299_999, 300_000, 1_000_000])
def test_it_is_that_of_the_first_bytes(tmp_path: Path, size: int) -> None:
    """A file that grows meanwhile is not read on; a shorter one is read to its end."""
    (tmp_path / "song").write_bytes(CONTENT)
    with (tmp_path / "song").open("rb") as file:
        assert sha256(file.fileno(), size) == hashlib.sha256(CONTENT[:size]).hexdigest()


def test_it_ends_soon_where_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "song").write_bytes(CONTENT)
    given_up = threading.Event()
    given_up.set()
    with (tmp_path / "song").open("rb") as file, pytest.raises(InterruptedError):
        sha256(file.fileno(), len(CONTENT), given_up)
