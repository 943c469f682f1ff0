#!/usr/bin/env bash
# Linux says when it has thrown events away; watchfiles keeps that to itself: half of the new songs, and no word.
#
# A program that is stopped for a moment, as by `docker pause` for a backup, gets the 16,384 events that the kernel
# has kept, and then one that says "overflow". watchfiles reads it and neither hands it on, raises nor logs: of
# 8,000 songs that were copied meanwhile a part arrives, what comes afterwards does too, and all looks well.
# watchdog logs a warning, asyncinotify gives the event. A listener has to look into the folder now and then.
# Seen with watchfiles 1.3.0: some 4,100 of 8,000 files, nothing told or logged. It needs Linux's usual limit of 16,384.
set -eu
limit=/proc/sys/fs/inotify/max_queued_events
[ "$(cat $limit)" = 16384 ] || { echo "needs 16384 in $limit" >&2; exit 2; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq watchdog==7.1.0 watchfiles==1.3.0 asyncinotify==4.4.4 || exit 2
cd "$work" && cat > listening.py <<'END'
"""python listening.py LIBRARY FOLDER: tells what was heard, as JSON, once a file named "last ..." was, or after 20 s."""
import asyncio, json, logging, os, sys, threading, time

library, folder = sys.argv[1:]
logging.basicConfig(level=logging.WARNING)
names, told, last = set(), [], threading.Event()

def heard(path):
    name = os.path.basename(path)
    last.set() if name.startswith("last") else names.add(name)

def by_watchdog():
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers import Observer
    class Handler(FileSystemEventHandler):
        def on_any_event(self, event):
            if event.event_type == "created":
                heard(event.src_path)
            elif event.event_type not in ("modified", "opened", "closed", "closed_no_write"):
                told.append(event.event_type)
    observer = Observer()
    observer.schedule(Handler(), folder)
    observer.start()

def by_watchfiles():
    from watchfiles import Change, watch
    def run():
        for changes in watch(folder, debounce=100, watch_filter=None):
            for change, path in changes:
                heard(path) if change == Change.added else told.append(change.name)
    threading.Thread(target=run, daemon=True).start()

def by_asyncinotify():
    from asyncinotify import Inotify, Mask
    async def run():
        with Inotify() as inotify:
            inotify.add_watch(folder, Mask.CREATE | Mask.OPEN | Mask.CLOSE_WRITE)
            async for event in inotify:
                if event.mask & Mask.CREATE:
                    heard(str(event.name))
                elif event.mask & Mask.Q_OVERFLOW:
                    told.append("overflow")
    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()

{"watchdog": by_watchdog, "watchfiles": by_watchfiles, "asyncinotify": by_asyncinotify}[library]()
time.sleep(0.5)
print("ready", flush=True)
last.wait(20)
print(json.dumps([len(names), last.is_set(), sorted(set(told))]), flush=True)
os._exit(0)
END
venv/bin/python - <<'END'
import json, pathlib, signal, subprocess, sys, time
from importlib.metadata import version

SONGS = 8_000

def listened(library):
    """[how many songs were heard of, whether a later file was, what else was told, the lines logged]."""
    folder = pathlib.Path(library)
    folder.mkdir()
    command = [sys.executable, "listening.py", library, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGSTOP)
        for count in range(SONGS):
            (folder / f"{count}.mp3").write_bytes(b"a song")
        child.send_signal(signal.SIGCONT)
        while child.poll() is None:  # until one that comes afterwards is heard of
            time.sleep(0.5)
            (folder / f"last {time.monotonic()}").write_bytes(b"a song")
        said, logged = child.stdout.read(), child.stderr.read()
    return [*json.loads(said), len(logged.splitlines())]

seen = {library: listened(library) for library in ("watchfiles", "watchdog", "asyncinotify")}
print("versions:", ", ".join(f"{library} {version(library)}" for library in seen))
print(f"expected: {SONGS:,} songs are heard of, or something tells that events were lost")
for library, (names, last, told, logged) in seen.items():
    print(f"seen:     {library:12} {names:,} songs, a later one: {last}; told: {', '.join(told) or 'nothing'}; "
          f"lines logged: {logged}")
lost = all(names < SONGS and last for names, last, *_ in seen.values())
silent = seen["watchfiles"][2:] == [[], 0]
others = seen["watchdog"][3] > 0 and seen["asyncinotify"][2] == ["overflow"]
sys.exit(0 if lost and silent and others else 1)
END
