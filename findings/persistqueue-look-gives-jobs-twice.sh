#!/usr/bin/env bash
# Who only looks how long a persist-queue is gives away, a second time, what a worker is working on.
#
# To open a SQLiteAckQueue is to put all that was taken and not acknowledged back, as after a crash, be its
# worker alive or not. A status command, a second worker, or one that starts anew does it: the same song is
# separated twice, and paid twice. `auto_resume=False` opens without; then somebody has to tell who is dead.
# Seen with persist-queue 1.1.0: "size" from another process, and the next get() is the job that runs.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq persist-queue==1.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
from persistqueue import SQLiteAckQueue

def looked(**how):
    """A job that runs, what get() gives after another process asked for the size, and that size."""
    path = f"queue{len(how)}"
    queue = SQLiteAckQueue(path, multithreading=True)
    queue.put("first song")
    queue.put("second song")
    running = queue.get()
    look = f"from persistqueue import SQLiteAckQueue as Q; print(Q({path!r}, **{how!r}).size)"
    size = subprocess.run([sys.executable, "-c", look], check=True, stdout=subprocess.PIPE, text=True)
    return running, queue.get(), int(size.stdout)

running, then, size = looked()
held, after, left = looked(auto_resume=False)
print("version:  persist-queue", version("persist-queue"))
print("expected: a job that runs is nobody else's until it is acknowledged; a look changes nothing")
print(f"seen:     {running!r} runs, another process looks: {size} wait, and the next job is {then!r}")
print(f"          with auto_resume=False: {left} waits, and the next job is {after!r}")
sys.exit(0 if running == then == "first song" and size == 2 and after == "second song" and left == 1 else 1)
END
