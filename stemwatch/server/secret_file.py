"""The random secret of a data directory: it signs URLs, and tells the directory from others."""

from __future__ import annotations

import contextlib
import os
import secrets

SECRET_BYTES = 32


def load_secret(path: str) -> bytes:
    """The server's random secret (32 bytes), made at the first start, readable by its owner only.

    It is kept so that URLs handed out before a restart stay good after it.
    Of several servers that start at once on one folder, the first one's is taken by all.
    """
    if (known := read_secret(path)) is not None:
        return known
    part = f"{path}.{secrets.token_hex(4)}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
        if os.path.lexists(path) and read_secret(path) is None:
            os.unlink(path)  # half of one
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        except OSError:  # exFAT and some network shares have no hard links
            os.rename(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
    found = read_secret(path)
    assert found is not None
    return found


def read_secret(path: str) -> bytes | None:
    """The secret that is there; None where there is none, or half of one. Raises OSError."""
    try:
        with open(path, "rb") as file:
            secret = file.read()
    except FileNotFoundError:
        return None
    return secret if len(secret) == SECRET_BYTES else None
