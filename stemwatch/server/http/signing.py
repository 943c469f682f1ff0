"""Makes and checks signed URLs: whoever holds one may fetch, or send, one file until it expires."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping
from hashlib import sha256
from math import ceil
from typing import NamedTuple
from urllib.parse import quote

SECRET_BYTES = 32


def load_secret(path: str) -> bytes:
    """The server's random secret (32 bytes), made at the first start, readable by its owner only.

    It is kept so that URLs handed out before a restart stay good after it.
    Of several servers that start at once on one folder, the first one's is taken by all.
    """
    if (known := _read(path)) is not None:
        return known
    part = f"{path}.{secrets.token_hex(4)}"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
        if os.path.lexists(path) and _read(path) is None:
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
    found = _read(path)
    assert found is not None
    return found


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            secret = file.read()
    except FileNotFoundError:
        return None
    return secret if len(secret) == SECRET_BYTES else None


class Signed(NamedTuple):
    """A signed URL: its `path` and query; `expires` in Unix seconds."""

    path: str
    expires: int


class Signer:
    """Mints and checks the URLs below one path, the `root`, such as `/v1/files`.

    `ttl` in seconds; `now` gives Unix seconds.
    """

    def __init__(self, secret: bytes, *, root: str, ttl: float, now: Callable[[], float]) -> None:
        self._secret = secret
        self._root = root
        self._ttl = ttl
        self._now = now

    def mint(self, folder: str, name: str, bound: str = "") -> Signed:
        """The URL of one file, good for `ttl` seconds from now, rounded up.

        `bound` is signed as well but not shown: who uses the URL must know it.
        """
        expires = ceil(self._now() + self._ttl)
        signature = self._signature(folder, name, bound, str(expires))
        place = f"{self._root}/{quote(folder)}/{quote(name)}"
        return Signed(f"{place}?expires={expires}&sig={signature}", expires)

    def fault(
        self, folder: str, name: str, query: Mapping[str, str], bound: str = ""
    ) -> str | None:
        """Why the URL with this query opens nothing, in one sentence; None when it is good."""
        expires, signature = query.get("expires", ""), query.get("sig", "")
        expected = self._signature(folder, name, bound, expires)
        # As bytes: compare_digest refuses non-ASCII text, which a stranger may well send.
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return "The signature of this URL is wrong."
        if int(expires) < self._now():  # digits: it was signed here
            return "This URL has expired; ask again to get a fresh one."
        return None

    def _signature(self, *parts: str) -> str:
        # NUL separates the parts: none that we sign holds one, so no two lists sign alike.
        message = "\0".join((self._root, *parts)).encode("utf-8", "replace")
        return hmac.new(self._secret, message, sha256).hexdigest()
