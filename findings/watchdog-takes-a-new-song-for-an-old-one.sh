#!/usr/bin/env bash
# watchdog's PollingObserver says of a song that is new that an old one, which was deleted, was moved there.
#
# It knows files by their inodes. ext4 and others soon give a new file the inode of one that was deleted, so between two
# looks a deletion and an arrival become a move: on_created isn't called, and whoever moves the old song's stems along
# gives them to the new one. Where watchdog hears by inotify, it tells of a deletion and an arrival. Look at what
# lies at the new path: its size and time are other than the old one's.
# Seen with watchdog 7.1.0 on ext4: "moved", and "modified" of the song that is gone.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq watchdog==7.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import os, shutil, sys, threading
from importlib.metadata import version
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

OLD, FIRST, LAST = "inbox/old.mp3", "inbox/first", "inbox/last"

class Handler(FileSystemEventHandler):
    """Keeps what is told of files."""
    def __init__(self):
        self.told, self._changed = [], threading.Condition()

    def on_any_event(self, event):
        if event.event_type in ("created", "moved", "deleted", "modified") and not event.is_directory:
            with self._changed:
                self.told.append((event.event_type, event.src_path, event.dest_path))
                self._changed.notify()

    def wait(self, path):
        with self._changed:
            assert self._changed.wait_for(lambda: any(path in event for event in self.told), 20), path

def write(path, what):
    with open(path, "w") as file:
        file.write(what)

def arrivals(inode):
    """Write new songs until one has the inode; returns its path."""
    for number in range(200):
        path = f"inbox/{number}.mp3"
        write(path, "another song, and a longer one")
        if os.stat(path).st_ino == inode:
            return path
    print("no new file gets the inode of a deleted one here")
    os._exit(2)

def told(observer):
    """What is told of a song that is deleted, and of the new one that has its inode."""
    shutil.rmtree("inbox", ignore_errors=True)
    os.mkdir("inbox")
    write(OLD, "the old song")
    old = os.stat(OLD).st_ino
    handler = Handler()
    observer.schedule(handler, "inbox")
    observer.start()
    write(FIRST, "")
    handler.wait(FIRST)  # it has just looked
    os.unlink(OLD)
    new = arrivals(old)
    handler.wait(new)
    write(LAST, "")
    handler.wait(LAST)
    observer.stop()
    observer.join()
    names = {OLD: "old", new: "new"}
    events = [(kind, *(names[path] for path in paths if path in names)) for kind, *paths in handler.told]
    return list(dict.fromkeys(" ".join(event) for event in events if len(event) > 1))

by_inotify, by_polling = told(Observer()), told(PollingObserver(timeout=1))
print("version:  watchdog", version("watchdog"))
print("expected: a deletion and a creation, in any order")
print("seen:     by inotify:", ", ".join(by_inotify))
print("          by polling:", ", ".join(by_polling))
sys.exit(0 if "moved old new" in by_polling and "created new" not in by_polling
         and {"deleted old", "created new"} <= set(by_inotify) else 1)
END
