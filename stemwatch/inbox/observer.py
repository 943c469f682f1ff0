"""watchdog's inotify observer, supervised: overflows, dead threads and used-up limits are seen.

watchdog 7.1 (by its source) rebuilds its watches after an overflow without a word, and hides that
the kernel refused to watch a subfolder. A subclass of its reader sees both.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyEvent,
    InotifyFD,
    Mask,
    Watch,
    WatchCallback,
    WatchDescriptor,
)
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from stemwatch.inbox.writing.created import Created

# Other events, such as the thousands of "modified" of a copy, would only cost time.
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileClosedEvent,
    FileMovedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]
LIMITS = frozenset({errno.ENOSPC, errno.EMFILE})

# After a folder was moved away, watchdog holds all events back for this time, in case its arrival
# elsewhere follows: 0.5 s by default. The kernel reports both at once, so 20 ms are enough.
InotifyMoveEventGrouper.delay = 0.02


class _Reader(InotifyFD):
    """Reads inotify's events. A fault in handling one of them does not end the thread."""

    def __init__(self, on_lost: Callable[[], None], created: Created) -> None:
        super().__init__()
        self._on_lost = on_lost
        self._created = created
        self.limit: OSError | None = None  # a watch that the kernel refused
        self.fault: Exception | None = None

    def handle_event(self, event: InotifyEvent) -> None:
        # Files that leave, as each archived song does, are no news and would delay the next drop's
        # event. An arrival elsewhere in the inbox is an event of its own.
        if not event.is_directory:
            self._note(event)
            if event.is_moved_from:
                return
        try:
            super().handle_event(event)
        except Exception as error:
            self.fault = error
            self._on_lost()
        if event.is_queue_overflow:
            self._on_lost()

    def _note(self, event: InotifyEvent) -> None:
        """Remember who was created by an `open` that has not been closed yet.

        Here, since watchdog calls a file that was moved here "created" as well.
        """
        change = self._created.begun if event.is_create else self._created.ended
        change(event.wd, os.fsdecode(event.name))

    def _get_or_create_watch(self, path: bytes, mask: Mask) -> Watch:
        watch = super()._get_or_create_watch(path, mask)
        # A folder that is made while its parent is walked is added twice, for which watchdog warns
        # on stderr (an error under -W error). There is only one callback: clear it before that.
        watch.callbacks.clear()
        return watch

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            if error.errno in LIMITS:
                self.limit = error
            raise


class _Handler(FileSystemEventHandler):
    def __init__(self, on_event: Callable[[str, bool], None], on_lost: Callable[[], None]) -> None:
        self._on_event = on_event
        self._on_lost = on_lost

    def dispatch(self, event: FileSystemEvent) -> None:
        # A handler that raises ends watchdog's dispatch for good.
        try:
            path = event.dest_path or event.src_path
            self._on_event(os.fsdecode(path), event.is_directory)
        except Exception:
            self._on_lost()


class Observer(BaseObserver):
    """Watches `root` and all folders below it. `start` and `stop` block.

    It calls `on_event(path, is_directory)` and `on_lost()` on its own threads. Raises OSError, with
    an errno in `LIMITS` where inotify's limits are used up.
    """

    def __init__(
        self,
        root: str,
        on_event: Callable[[str, bool], None],
        on_lost: Callable[[], None],
        created: Created,
    ) -> None:
        self._reader = _Reader(on_lost, created)
        self._reader.start()
        super().__init__(InotifyEmitter, inotify_fd=self._reader)
        self.handler = _Handler(on_event, on_lost)
        self.watch = self.schedule(self.handler, root, recursive=True, event_filter=EVENTS)

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self._reader.stop()
        self._reader.join()

    @property
    def limit(self) -> OSError | None:
        """The error with which the kernel refused to watch a folder, or None."""
        return self._reader.limit

    @property
    def fault(self) -> Exception | None:
        """The fault that its reader met, or None."""
        return self._reader.fault

    @property
    def running(self) -> bool:
        """Whether reader, emitter and dispatcher are alive; `is_alive` sees the dispatcher only."""
        emitters = list(self.emitters)
        return (
            self.is_alive()
            and self._reader.is_alive()
            and self._reader.fault is None
            and bool(emitters)
            and all(emitter.is_alive() for emitter in emitters)
        )
