#!/usr/bin/env bash
# While mmap.flush() waits for a slow disk, no other thread of Python's runs; beside os.fsync() all run.
#
# The call is there to wait for a disk, and Python keeps its lock (the GIL) meanwhile. Moved into a thread by
# `asyncio.to_thread` it stops the loop all the same. np.memmap.flush is this call. os.pathconf and os.fpathconf
# do alike, though os.statvfs asks the disk the same question. Files that are to be safe are written and fsynced;
# a name's longest length is asked of os.statvfs. Needs FUSE, and leave to mount.
# Seen with Python 3.11.7, 3.12.1 and 3.13.0: flush and pathconf stop all for 1.0 s, fsync and statvfs for 0.0 s.
set -eu
work=$(mktemp -d) && mkdir "$work/disk" "$work/out"
away() { fusermount3 -uz "$work/disk" || fusermount -uz "$work/disk" || umount -l "$work/disk"; } 2>/dev/null
trap 'away || true; rm -rf --one-file-system "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq mfusepy==3.1.1 || exit 2
cd "$work" && cat > slow_disk.py <<'END'
import stat, time
import mfusepy

class SlowDisk(mfusepy.Operations):
    """Holds one file, of zeros. It takes a second to make it safe, and to tell of itself."""
    def getattr(self, path, fh=None):
        song = dict(st_mode=stat.S_IFREG | 0o666, st_nlink=1, st_size=4096)
        return song if path == "/song" else dict(st_mode=stat.S_IFDIR | 0o777, st_nlink=2)

    def read(self, path, size, offset, fh):
        return bytes(min(size, 4096 - offset))

    def write(self, path, data, offset, fh):
        return len(data)

    def fsync(self, path, datasync, fh):
        time.sleep(1)
        return 0

    def statfs(self, path):
        time.sleep(1)
        return dict(f_bsize=4096, f_namemax=255)

mfusepy.FUSE(SlowDisk(), "disk", foreground=True)
END
venv/bin/python slow_disk.py >out/log 2>&1 &
for _ in $(seq 100); do grep -q " $work/disk fuse" /proc/mounts && break; sleep 0.1; done
grep -q " $work/disk fuse" /proc/mounts || { echo "no FUSE here: $(tail -n 1 out/log)" >&2; exit 2; }
venv/bin/python - <<'END'
import mmap, os, platform, sys, threading, time

def stopped(call):
    """(seconds that the call took, the longest time for which another thread could not run meanwhile)."""
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
    call()
    took = time.monotonic() - begun
    over.set()
    thread.join()
    return took, max(pauses)

file = os.open("disk/song", os.O_RDWR)
song = mmap.mmap(file, 0)
song[0] = 1
seen = {"mmap.flush": stopped(song.flush)}
song[0] = 2
seen["os.fsync"] = stopped(lambda: os.fsync(file))
seen["os.pathconf"] = stopped(lambda: os.pathconf("disk", "PC_NAME_MAX"))
seen["os.statvfs"] = stopped(lambda: os.statvfs("disk").f_namemax)
print("version:  Python", platform.python_version())
print("expected: a call that waits for a disk lets the other threads run")
for name, (took, pause) in seen.items():
    print(f"seen:     {name:11} took {took:.1f} s, another thread stood still for up to {pause:.1f} s")
long = all(took > 0.9 for took, _ in seen.values())
stops = [pause > 0.9 for _, pause in seen.values()]
runs = seen["os.fsync"][1] < 0.5 and seen["os.statvfs"][1] < 0.5
sys.exit(0 if long and runs and stops == [True, False, True, False] else 1)
END
