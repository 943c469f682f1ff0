#!/usr/bin/env bash
# watchdog says that a song is deleted which is there: another one was, in a folder that left long ago.
#
# A folder that is moved out of the watched one stays watched, under the path that it had. What happens in it
# from then on, in an archive or in the trash, is told as if it happened inside, and where a new folder has
# taken the old name, of the new one's files. Each that ever left costs one of the kernel's watches until the
# observer ends. A path of an event is to be looked at before it is believed.
# Seen with watchdog 7.1.0 (and 6.0.0): the archived song is deleted, and the inbox's is told.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq watchdog==7.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import os, sys, threading
from importlib.metadata import version
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

SONG, LAST = "inbox/album/song.mp3", "inbox/last.mp3"
os.mkdir("inbox")
os.mkdir("archive")
deleted, last, heard = [], threading.Event(), threading.Event()

class Handler(FileSystemEventHandler):
    def on_created(self, event):
        if event.src_path == SONG:
            heard.set()
    def on_deleted(self, event):
        deleted.append(event.src_path)
        if event.src_path == LAST:
            last.set()

def write(path):
    with open(path, "w") as song:
        song.write("a song")

def album():
    """A new album with a song, once watchdog has told the song."""
    heard.clear()
    os.mkdir("inbox/album")
    write(SONG)
    assert heard.wait(10)

observer = Observer()
observer.schedule(Handler(), "inbox", recursive=True)
observer.start()
album()
os.rename("inbox/album", "archive/album")
album()
deleted.clear()
os.unlink("archive/album/song.mp3")
write(LAST)
os.unlink(LAST)  # events come in order: what precedes this one's has been told
assert last.wait(10)
observer.stop()
observer.join()
told, there = SONG in deleted, os.path.exists(SONG)
print("version:  watchdog", version("watchdog"))
print("expected: a song that is deleted in the archive is no event of the inbox")
print(f"seen:     {SONG} is told as deleted: {told}; it is there: {there}")
sys.exit(0 if told and there else 1)
END
