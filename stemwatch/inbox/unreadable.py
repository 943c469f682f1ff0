"""What of an inbox can't be read; each told once for as long as it stays so."""

from __future__ import annotations

from collections.abc import Container

from stemwatch.log import log

_MOST = 200  # files and folders that are remembered


class Unreadable:
    """`now`: the paths of files and folders, each with the system's words."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self._before: dict[str, str] = {}

    def begin(self, followed: Container[str]) -> None:
        """A scan begins: it meets folders again; files that are `followed` are sampled apart."""
        self._before = self.now
        self.now = {path: why for path, why in self.now.items() if path in followed}

    def note(self, path: str, error: OSError) -> None:
        if path not in self.now and len(self.now) < _MOST:
            self.now[path] = message = error.strerror or str(error)
            if path not in self._before:  # a locked subfolder was warned of every 30 s, for years
                log.warning("file.unreadable", path=path, message=message)

    def was_read(self, path: str) -> None:
        self.now.pop(path, None)
        self._before.pop(path, None)
