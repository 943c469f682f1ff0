"""The inotify watcher: hints that something changed, and a test that the hints still come.

A hint only says where to look. A lost hint costs time, until the next rescan, but never a file.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from stemwatch.disks.mounts import Mode
from stemwatch.inbox.writing.created import Created
from stemwatch.log import log

if TYPE_CHECKING:
    from stemwatch.inbox.observer import Observer

T = TypeVar("T")
CANARY = ".stemwatch-canary"  # a dotfile: every filter ignores it
MAX_HINTS = 256
MAX_UNSEEN = 3  # after so many lost canaries in a row, the inbox is polled: no rebuild helps
_SYSCTLS = {
    errno.ENOSPC: ("max_user_watches", 524288),
    errno.EMFILE: ("max_user_instances", 1024),
}


class Hints(NamedTuple):
    """Where to look again: single files, folders with all below, or everywhere."""

    files: frozenset[str]
    trees: frozenset[str]
    everything: bool


class Watcher:
    """Watches `root`; calls `wake` on `loop` once for all hints until `take_hints`.

    In mode "poll" it does nothing: only rescans find songs. In mode "inotify", `check` makes and
    removes a canary file in the root every `canary_seconds`. If its event does not come within
    `grace` seconds, the observer is rebuilt. Between canaries `check` is cheap.
    """

    def __init__(
        self,
        root: str,
        *,
        mode: Mode,
        loop: asyncio.AbstractEventLoop,
        wake: Callable[[], None],
        reason: str = "",
        canary_seconds: float = 60.0,
        grace: float = 10.0,
    ) -> None:
        self.mode: Mode = mode
        self.reason = reason
        self.healthy = mode == "poll"
        self.rebuilds = 0
        self._root = root.rstrip("/") or "/"
        self._real = self._root  # watchdog would watch a symlink itself, not where it leads
        self._loop = loop
        self._wake = wake
        self._canary_seconds = canary_seconds
        self._grace = grace
        self._lock = threading.Lock()
        self._files: set[str] = set()
        self._trees: set[str] = set()
        self._everything = False
        self._woken = False
        self._observer: Observer | None = None
        self._created = Created()
        self._watched: tuple[int, int] | None = None  # st_dev, st_ino of what is watched
        self._next_canary = 0.0
        self._released: float | None = None  # when the canary now awaited was made
        self._seen = threading.Event()
        self._unseen = 0

    async def start(self) -> None:
        """Begin to watch. Files that exist already give no events, so scan after this call."""
        if self.mode == "inotify":
            await asyncio.to_thread(self._build)

    async def stop(self) -> None:
        """Stop watching, and join watchdog's threads without blocking the loop."""
        await asyncio.to_thread(self._teardown)

    def take_hints(self) -> Hints:
        """The hints since the last call."""
        with self._lock:
            hints = Hints(frozenset(self._files), frozenset(self._trees), self._everything)
            self._files.clear()
            self._trees.clear()
            self._everything = self._woken = False
        return hints

    def still_open(self, path: str, links: int) -> bool:
        """Whether the one who created the file at `path` seems to have it open; any thread may ask.

        `links`: its names. One that was linked here was created without being opened.
        """
        return links == 1 and os.path.basename(path) in self._created

    def check(self, now: float) -> None:
        """Check that events still come; call it in a thread, before the scan of each rescan.

        `now` is in monotonic seconds. Rebuilds the observer when a thread died, the root was
        replaced or a canary's event did not come, and turns to polling when inotify's limits are
        used up. Both set `mode`, `reason`, `healthy` and `rebuilds`, and hint at everything.
        """
        if self.mode != "inotify":
            return
        observer = self._observer
        if observer is not None and observer.limit is not None:
            self._give_up(observer.limit)
        elif why := self._why_silent(now):
            if self._unseen < MAX_UNSEEN:
                self._rebuild(why)
            else:
                self._poll(
                    f"no events come from {self._root}, so it is looked through at every rescan; "
                    "`watch.mode: poll` says so from the start"
                )
        elif self._released is None and now >= self._next_canary:
            self._release_canary(now)

    def checked(self, now: float, found: Iterator[T]) -> Iterator[T]:
        """Yield from `found` after a `check`, so that one trip to a thread does both."""
        self.check(now)
        yield from found

    def _why_silent(self, now: float) -> str:
        """Why no events come; "" while they do."""
        observer = self._observer
        if observer is None:
            return "it could not be watched before"
        if self._identify() != self._watched:
            return "it is another folder now"
        if not observer.running:
            return "a thread that watches it ended, or its reader failed"
        return "the events of a test file did not come" if self._canary_is_lost(now) else ""

    def _canary_is_lost(self, now: float) -> bool:
        if self._released is None:
            return False
        if self._seen.is_set():
            self._released = None
            self._unseen = 0
            return False
        lost = now - self._released >= self._grace
        self._unseen += lost
        return lost

    def _release_canary(self, now: float) -> None:
        """Make and remove a file whose "closed" event must pass through all of watchdog."""
        self._next_canary = now + self._canary_seconds
        self._seen.clear()
        path = os.path.join(self._root, CANARY)
        try:
            flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            os.close(os.open(path, flags, 0o600))
            os.unlink(path)
        except OSError as error:
            # In a read-only or full inbox events may still come, but no canary can prove it.
            self.reason = (
                f"no canary can be written to {self._root} ({error.strerror}): whether events "
                "still come is not known, the rescan finds what they miss"
            )
            return
        self.reason = ""
        self._released = now

    def _build(self) -> None:
        # Imported here, so that polling does not load watchdog.
        from stemwatch.inbox.observer import Observer

        self._released = None
        self._next_canary = 0.0
        self._watched = self._identify()
        observer = None
        try:
            self._real = os.path.realpath(self._root)
            self._created = Created()
            observer = Observer(self._real, self._on_event, self._on_lost, self._created)
            observer.start()
        except OSError as error:
            if observer is not None:
                observer.stop()
            self._watched = None
            self.healthy = False
            if error.errno in _SYSCTLS:
                self._give_up(error)
            else:
                self.reason = f"{self._root} can't be watched now: {error.strerror}"
            return
        self._observer = observer
        if observer.limit is not None:
            self._give_up(observer.limit)
            return
        self.healthy = True
        self.reason = ""

    def _rebuild(self, why: str) -> None:
        fault = None if self._observer is None else self._observer.fault
        self._teardown()
        self._build()
        if self._observer is not None or self.mode == "poll":
            log.warning("watch.rebuilt", folder=self._root, message=why, exc_info=fault)
            self.rebuilds += 1
            self._on_lost()

    def _teardown(self) -> None:
        observer, self._observer = self._observer, None
        self.healthy = False
        if observer is not None:
            observer.stop()
            if observer.is_alive():
                observer.join()

    def _give_up(self, error: OSError) -> None:
        """Turn to polling, because inotify's limits are used up; the reason names the command."""
        name, ample = _SYSCTLS.get(error.errno or 0, _SYSCTLS[errno.ENOSPC])
        try:
            limit = Path(f"/proc/sys/fs/inotify/{name}").read_text().strip()
        except OSError:
            limit = "unknown"
        self._poll(
            f"{error.strerror} ({name} is {limit}), so the inbox is looked through at every "
            f"rescan; `sudo sysctl fs.inotify.{name}={ample}` and a restart mend it"
        )

    def _poll(self, reason: str) -> None:
        """Turn to polling for good: with some folders unwatched, mode "inotify" would mislead."""
        log.warning("watch.polls", folder=self._root, message=reason)
        self._teardown()
        self.mode = "poll"
        self.healthy = True
        self.reason = reason
        self._on_lost()

    def _identify(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._root)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    # These run on watchdog's threads: they record, wake once, never raise and never block.

    def _on_event(self, path: str, is_directory: bool) -> None:
        folder, name = os.path.split(path)
        if name == CANARY:
            if folder == self._real:
                self._seen.set()
            return
        path = os.path.join(self._root, os.path.relpath(path, self._real))
        with self._lock:
            if self._everything or self._in_hinted_tree(path):
                return
            (self._trees if is_directory else self._files).add(path)
            if len(self._files) + len(self._trees) > MAX_HINTS:
                self._everything = True
                self._files.clear()
                self._trees.clear()
        self._wake_once()

    def _in_hinted_tree(self, path: str) -> bool:
        while len(path) > len(self._root):
            if path in self._trees:
                return True
            path = os.path.dirname(path)
        return False

    def _on_lost(self) -> None:
        self._created.clear()
        with self._lock:
            self._everything = True
            self._files.clear()
            self._trees.clear()
        self._wake_once()

    def _wake_once(self) -> None:
        with self._lock:
            if self._woken:
                return
            self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return  # the loop is closed: the service ends
