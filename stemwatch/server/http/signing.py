"""Makes and checks signed URLs: whoever holds one may fetch, or send, one file until it expires."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from math import ceil
from typing import NamedTuple
from urllib.parse import quote


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
