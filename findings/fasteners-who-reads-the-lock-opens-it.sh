#!/usr/bin/env bash
# A process that reads the file that it has locked by fasteners lets go of the lock, and isn't told.
#
# fasteners locks by `fcntl.lockf`. Such a lock belongs to the process, and ends when the process closes the
# file, by whichever name or descriptor: to look up whose pid stands in it, to hash it, to copy the folder.
# Two workers then write one journal. filelock and portalocker take `flock`, which stays.
# Seen with fasteners 0.20: another process is refused before, and let in after; with both others never.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq fasteners==0.20 filelock==4.3.1 portalocker==4.4.2 || exit 2
cd "$work" && cat > taking.py <<'END'
import sys
import fasteners, filelock, portalocker

def take(kind):
    """The lock named after its library, held from now on; None if another process holds it."""
    if kind == "fasteners":
        lock = fasteners.InterProcessLock("fasteners.lock")
        return lock if lock.acquire(blocking=False) else None
    try:
        if kind == "filelock":
            lock = filelock.FileLock("filelock.lock", timeout=0)
            lock.acquire()
        else:
            lock = portalocker.Lock("portalocker.lock", timeout=0, fail_when_locked=True)
            lock.acquire()
    except (filelock.Timeout, portalocker.LockException):
        return None
    return lock

if __name__ == "__main__":
    print("in" if take(sys.argv[1]) else "refused")
END
venv/bin/python - <<'END'
import subprocess, sys
from importlib.metadata import version
from pathlib import Path
from taking import take

def another(kind):
    """What another process meets that wants the same lock."""
    program = [sys.executable, "taking.py", kind]
    return subprocess.run(program, check=True, capture_output=True, text=True).stdout.strip()

print("versions:", *(f"{kind} {version(kind)}" for kind in ("fasteners", "filelock", "portalocker")))
print("expected: refused, refused, as long as the first process holds the lock")
seen, held = {}, []
for kind in ("fasteners", "filelock", "portalocker"):
    held.append(take(kind))
    assert held[-1]
    before = another(kind)
    Path(f"{kind}.lock").read_bytes()
    seen[kind] = before, another(kind)
    print(f"seen:     {kind:11} before its file was read: {before}; after: {seen[kind][1]}")
refused = seen["filelock"] == seen["portalocker"] == ("refused", "refused")
sys.exit(0 if refused and seen["fasteners"] == ("refused", "in") else 1)
END
