#!/usr/bin/env bash
# A file that leaves a watched folder holds up the event of every later file by half a second.
#
# watchdog waits for the other half of each "moved from", lest it was moved inside the folder, and
# everything behind it in the queue waits too. The kernel tells both halves at once. A folder from
# which something is moved away twice a second is always late.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq watchdog==7.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import os, pathlib, sys, threading, time
from importlib.metadata import version
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

inbox = pathlib.Path("inbox")
inbox.mkdir()
heard = {}
class Heard(FileSystemEventHandler):
    def on_created(self, event):
        heard[os.path.basename(event.src_path)].set()

def drop(name):
    heard[name] = threading.Event()
    (inbox / name).write_text("a song")
    return heard[name]

def seconds(name, leaves):
    """From a drop to its event, where `leaves(path)` took an older file away just before."""
    assert drop(f"old {name}").wait(5)
    time.sleep(1)
    leaves(inbox / f"old {name}")
    began = time.monotonic()
    assert drop(name).wait(5)
    return time.monotonic() - began

observer = Observer()
observer.schedule(Heard(), str(inbox))
observer.start()
deleted = min(seconds(f"d{turn}", os.unlink) for turn in range(3))
moved = min(seconds(f"m{turn}", lambda path: os.rename(path, path.name)) for turn in range(3))
observer.stop()
print("version:  watchdog", version("watchdog"))
print("expected: a new file is heard of within milliseconds, whatever left before it")
print(f"seen:     after an older file was deleted: {deleted * 1000:.1f} ms")
print(f"          after an older file was moved away: {moved * 1000:.1f} ms")
sys.exit(0 if deleted < 0.1 and moved > 0.4 else 1)
END
