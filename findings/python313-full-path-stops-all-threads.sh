#!/usr/bin/env bash
# From Python 3.13 on subprocess.run(["/usr/bin/true"]) stops all threads while a slow disk answers; ["true"] does not.
#
# Whichever program it is: any file that is open on the slow disk, even for reading, is enough. The new process
# closes it first, and the disk hears of that and answers late. By its full path a program is started by
# posix_spawn since 3.13, under Python's lock (the GIL); by its name by vfork, without. A folder (`cwd`), a new
# session or close_fds=False avoid it, too. Needs Python 3.13 or newer, FUSE, and leave to mount.
# Seen with Python 3.13.0: 1.0 s for /usr/bin/true, 0.0 s for true; with 3.11.7 0.0 s for both.
set -eu
python=${PYTHON:-python3.13}
"$python" -c 'import os; os.POSIX_SPAWN_CLOSEFROM' 2>/dev/null ||
    { echo "no Python 3.13 or newer here, or an old libc: set PYTHON" >&2; exit 2; }
work=$(mktemp -d) && mkdir "$work/disk" "$work/out"
away() { fusermount3 -uz "$work/disk" || fusermount -uz "$work/disk" || umount -l "$work/disk"; } 2>/dev/null
trap 'away || true; rm -rf --one-file-system "$work"' EXIT
"$python" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq mfusepy==3.1.1 || exit 2
cd "$work" && cat > slow_disk.py <<'END'
import stat, time
import mfusepy

class SlowDisk(mfusepy.Operations):
    """Holds one file, of zeros. It takes a second over each close of it."""
    def getattr(self, path, fh=None):
        song = dict(st_mode=stat.S_IFREG | 0o666, st_nlink=1, st_size=4096)
        return song if path == "/song" else dict(st_mode=stat.S_IFDIR | 0o777, st_nlink=2)

    def read(self, path, size, offset, fh):
        return bytes(min(size, 4096 - offset))

    def flush(self, path, fh):
        time.sleep(1)
        return 0

mfusepy.FUSE(SlowDisk(), "disk", foreground=True)
END
venv/bin/python slow_disk.py >out/log 2>&1 &
for _ in $(seq 100); do grep -q " $work/disk fuse" /proc/mounts && break; sleep 0.1; done
grep -q " $work/disk fuse" /proc/mounts || { echo "no FUSE here: $(tail -n 1 out/log)" >&2; exit 2; }
venv/bin/python - <<'END'
import platform, shutil, subprocess, sys, threading, time

def stopped(*command, **given):
    """(seconds that the program took, the longest time for which another thread could not run meanwhile)."""
    pauses, over = [], threading.Event()
    def other():
        last = time.monotonic()
        while not over.is_set():
            time.sleep(0.005)
            pauses.append(time.monotonic() - last)
            last = time.monotonic()
    thread = threading.Thread(target=other)
    thread.start()
    begun = time.monotonic()
    subprocess.run(command, check=True, **given)
    took = time.monotonic() - begun
    over.set()
    thread.join()
    return took, max(pauses)

true = shutil.which("true")
print("version:  Python", platform.python_version())
print("expected: however a program is named, the other threads run while it is started")
with open("disk/song", "rb"):
    seen = [stopped(true), stopped("true"), stopped(true, cwd="/"), stopped(true, start_new_session=True)]
for name, (took, pause) in zip((true, "true", true + ", in a folder", true + ", in a session"), seen):
    print(f"seen:     {name}: took {took:.1f} s, another thread stood still for up to {pause:.1f} s")
closed = stopped(true)
print(f"          {true}, with the file closed: {closed[0]:.1f} s")
run = all(took > 0.9 and pause < 0.5 for took, pause in seen[1:])
sys.exit(0 if seen[0][1] > 0.9 and run and closed[0] < 0.5 else 1)
END
