"""Signed stem URLs: who holds one may fetch that one file, until it expires."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Callable
from hashlib import sha256
from math import ceil
from urllib.parse import quote

SECRET_BYTES = 32


def load_secret(path: str) -> bytes:
    """The server's random secret (32 bytes), made at the first start, readable by its owner only.

    It is kept so that URLs handed out before a restart stay good after it.
    """
    try:
        with open(path, "rb") as file:
            secret = file.read()
    except FileNotFoundError:
        secret = b""
    if len(secret) == SECRET_BYTES:
        return secret
    secret = secrets.token_bytes(SECRET_BYTES)
    part = f"{path}.part"
    if os.path.lexists(part):
        os.unlink(part)  # left by a kill, perhaps with other permissions
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(descriptor)
    os.rename(part, path)
    return secret


class Signer:
    """Mints and checks the query of a stem URL. `ttl` in seconds; `now` gives Unix seconds."""

    def __init__(self, secret: bytes, *, ttl: float, now: Callable[[], float]) -> None:
        self._secret = secret
        self._ttl = ttl
        self._now = now

    def path(self, job_id: str, name: str) -> str:
        """The path and query of one stem, good for `ttl` seconds from now, rounded up."""
        expires = str(ceil(self._now() + self._ttl))
        signature = self._signature(job_id, name, expires)
        return f"/v1/files/{quote(job_id)}/{quote(name)}?expires={expires}&sig={signature}"

    def fault(self, job_id: str, name: str, expires: str, signature: str) -> str | None:
        """Why this URL opens nothing, in one sentence; None when it is good."""
        expected = self._signature(job_id, name, expires)
        # As bytes: compare_digest refuses non-ASCII text, which a stranger may well send.
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return "The signature of this URL is wrong."
        if int(expires) < self._now():  # digits: it was signed here
            return "This URL has expired; ask for the job again to get a fresh one."
        return None

    def _signature(self, job_id: str, name: str, expires: str) -> str:
        # NUL can't be confused with a part of any of the three.
        message = "\0".join((job_id, name, expires)).encode("utf-8", "replace")
        return hmac.new(self._secret, message, sha256).hexdigest()
