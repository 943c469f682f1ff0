"""Who is logged in: random tokens, of which only digests are kept, in the state folder."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable

from stemwatch.disks import durable

FILE = "web-sessions.json"
DAYS = 30
_MOST = 200  # browsers; the one that logged in first is logged out


class Sessions:
    """The sessions of one password: another password ends them. `now` gives Unix seconds."""

    def __init__(self, path: str, password: str, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._key = password.encode()
        self._now = now
        self._ends: dict[str, float] = _read(path)

    def begin(self) -> str:
        """A new session's token, 256 random bits; on disk before this returns. Raises OSError."""
        token = secrets.token_urlsafe(32)
        self._ends[self._digest(token)] = self._now() + DAYS * 86400
        self._write()
        return token

    def holds(self, token: str) -> bool:
        """Whether it is of a session that has not ended."""
        return self._ends.get(self._digest(token), 0.0) > self._now()

    def end(self, token: str) -> None:
        """Log out; what is no session is none afterwards. Raises OSError."""
        if self._ends.pop(self._digest(token), None) is not None:
            self._write()

    def _digest(self, token: str) -> str:
        return hmac.new(self._key, token.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def _write(self) -> None:
        now = self._now()
        open_ones = [(digest, end) for digest, end in self._ends.items() if end > now]
        self._ends = dict(open_ones[-_MOST:])
        durable.write_file(self._path, json.dumps(self._ends).encode(), replace=True, mode=0o600)


def _read(path: str) -> dict[str, float]:
    try:
        with open(path, encoding="ascii") as file:
            return {str(digest): float(end) for digest, end in json.load(file).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # everybody logs in once more
