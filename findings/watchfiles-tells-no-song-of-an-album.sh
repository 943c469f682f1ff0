#!/usr/bin/env bash
# A folder of songs that is moved into a watched folder is one event for watchfiles, and no song.
#
# The folder is told, what lies in it is not; the filter that lets songs through hears nothing of an album.
# Files that are there before their new folder is watched are missed as well. One that is changed later is
# told, so a test that writes files one by one sees nothing amiss. watchdog tells each file of the folder.
# Who takes watchfiles has to list each folder that it tells.
# Seen with watchfiles 1.3.0: of an album of three songs one event, the folder's; watchdog 7.1.0 tells all.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq watchfiles==1.3.0 watchdog==7.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import os, sys, threading, time
from importlib.metadata import version
import watchfiles
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

told = {"watchfiles": set(), "watchdog": set()}

class Handler(FileSystemEventHandler):
    def on_created(self, event):
        told["watchdog"].add(os.path.relpath(event.src_path, "inbox"))
    def on_moved(self, event):
        told["watchdog"].add(os.path.relpath(event.dest_path, "inbox"))

def watch():
    for changes in watchfiles.watch("inbox", stop_event=ended, watch_filter=None, debounce=200):
        told["watchfiles"].update(os.path.relpath(path, "inbox") for _, path in changes)

def waited(name, path):
    """Whether that watcher tells of the path within ten seconds."""
    end = time.monotonic() + 10
    while path not in told[name] and time.monotonic() < end:
        time.sleep(0.05)
    return path in told[name]

def song(path):
    with open(path, "wb") as file:
        file.write(b"a song")

os.mkdir("inbox")
os.mkdir("album")
for number in (1, 2, 3):
    song(f"album/{number}.mp3")
ended = threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
observer = Observer()
observer.schedule(Handler(), "inbox", recursive=True)
observer.start()
time.sleep(1)  # neither says when it listens
os.rename("album", "inbox/album")
both = [waited(name, "album") for name in told]
song("inbox/last.mp3")  # events come in order: what precedes this one's has been told
both += [waited(name, "last.mp3") for name in told]
time.sleep(1)
ended.set()
watcher.join()
observer.stop()
observer.join()
songs = {name: sorted(path for path in paths if path.startswith("album/")) for name, paths in told.items()}
print("version:  watchfiles", version("watchfiles"), "and watchdog", version("watchdog"))
print("expected: album/1.mp3, album/2.mp3, album/3.mp3, after the album was moved in")
print("seen:     watchfiles:", ", ".join(songs["watchfiles"]) or "the folder alone")
print("          watchdog:  ", ", ".join(songs["watchdog"]))
sys.exit(0 if all(both) and not songs["watchfiles"] and len(songs["watchdog"]) == 3 else 1)
END
