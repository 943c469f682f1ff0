#!/usr/bin/env bash
# watchdog's observer says that it is alive, and hears nothing any more.
#
# The watched folder is deleted and made again, as an unmount and a mount do. The observer's thread
# lives, its emitter has ended, and no event ever comes again. Nothing is logged.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq watchdog==7.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import pathlib, shutil, sys, time
from importlib.metadata import version
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

events = []
class Heard(FileSystemEventHandler):
    def on_created(self, event):
        events.append(event.src_path)

def dropped(name):
    events.clear()
    (inbox / name).write_text("a song")
    end = time.monotonic() + 5
    while not events and time.monotonic() < end:
        time.sleep(0.01)
    return bool(events)

inbox = pathlib.Path("inbox")
inbox.mkdir()
observer = Observer()
observer.schedule(Heard(), str(inbox), recursive=True)
observer.start()
before = dropped("one")
shutil.rmtree(inbox)
time.sleep(1)
inbox.mkdir()
after, alive = dropped("two"), observer.is_alive()
emitters = [emitter.is_alive() for emitter in observer.emitters]
observer.stop()
print("version:  watchdog", version("watchdog"))
print("expected: events come again, or is_alive() is False, or something is said")
print(f"seen:     an event for a new file before: {before}; after: {after}")
print(f"          is_alive(): {alive}, of its emitters: {emitters}")
sys.exit(0 if (before, after, alive) == (True, False, True) else 1)
END
