"""watchdog's inotify observer, supervised: overflows, dead threads and used-up limits are seen.

watchdog 7.1 (by its source) rebuilds its watches after an overflow without a word, hides that the
kernel refused to watch a subfolder, and watches folders on that were moved out of the inbox. A
subclass of its reader sees the first two and ends the third.
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
from watchdog.observers.inotify import InotifyEmitter, InotifyWatchGroup
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
        self._moved: InotifyEvent | None = None  # a folder, at the last event: where to may follow
        self.limit: OSError | None = None  # a watch that the kernel refused
        self.fault: Exception | None = None

    def handle_event(self, event: InotifyEvent) -> None:
        # Files that leave, as each archived song does, are no news and would delay the next drop's
        # event. An arrival elsewhere in the inbox is an event of its own.
        if not event.is_directory:
            self._note(event)
        try:
            self._follow(event)
            if event.is_directory or not event.is_moved_from:
                super().handle_event(event)
        except Exception as error:
            self.fault = error
            self._on_lost()
        if event.is_queue_overflow:
            self._on_lost()

    def _follow(self, event: InotifyEvent) -> None:
        """Watch a folder no longer that was moved away and did not arrive at once.

        The kernel tells of both ends one after the other. Where another event came between them, or
        later, watchdog watches the folder anew at its arrival.
        """
        moved, self._moved = self._moved, None
        if moved is not None and not (event.is_moved_to and event.cookie == moved.cookie):
            self._unwatch(moved)
        if event.is_directory and event.is_moved_from:
            self._moved = event

    def _unwatch(self, moved: InotifyEvent) -> None:
        """End the watches of this folder and of all below it. Their numbers are not used again."""
        parent = self._watch_for_wd.get(moved.wd)
        for group in [] if parent is None else list(parent.callbacks.values()):
            assert isinstance(group, InotifyWatchGroup)
            with group._lock:
                top = group._build_event_source_path(moved)
                if top is None:
                    continue
                watches = group._active_callbacks_by_watch.items()
                left = [wd for wd, at in watches if at == top or at.startswith(top + b"/")]
                group._remove_callbacks(left)

    def _note(self, event: InotifyEvent) -> None:
        """Remember who was created by an `open` that has not been closed yet.

        Here, since watchdog calls a file that was moved here "created" as well.
        """
        if event.is_ignored:  # the folder's watch ended: no "closed" will come of it
            self._created.unwatched(event.wd)
            return
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
