#!/usr/bin/env bash
# A worker of loky that keeps two models loads them anew again and again where psutil is installed, and once where not.
#
# Where psutil can be imported, loky looks at a worker's memory once a second, between two jobs, and ends one that has
# 300 MB more than after its first job. A second model, loaded when it is first asked for, and kept, is such a leak:
# songs wait for models that were there, and whether they do is decided by some other package that needs psutil. One
# warning, if jobs were waiting, is all. Load all models at a worker's start (`initializer`), or set
# LOKY_MAX_MEMORY_LEAK_SIZE.
# Seen with loky 3.7.0 and psutil 7.2.2: 6 songs load 6 models in 3 workers; without psutil 2 models in one.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
for venv in without with; do
    "${PYTHON:-python3}" -m venv "$work/$venv" && "$work/$venv/bin/pip" install -qq loky==3.7.0 || exit 2
done
"$work/with/bin/pip" install -qq psutil==7.2.2 || exit 2
cd "$work"
cat >worker.py <<'END'
import os

models = {}

def load(name):
    models[name] = bytearray(b"m") * (400 << 20)

def load_both():
    load("two stems")
    load("six stems")

def separate(name):
    """(the worker, whether it had to load the model)."""
    new = name not in models
    if new:
        load(name)
    return os.getpid(), new
END
cat >songs.py <<'END'
import sys, time
from loky import ProcessPoolExecutor
import worker

if __name__ == "__main__":
    early = len(sys.argv) > 1
    workers, loads = set(), 0
    with ProcessPoolExecutor(max_workers=1, initializer=worker.load_both if early else None) as pool:
        for song in range(6):
            pid, new = pool.submit(worker.separate, ("two stems", "six stems")[song % 2]).result()
            workers.add(pid)
            loads += new
            time.sleep(1.1)  # a song takes longer than loky's second between two looks
    print(len(workers), loads)
END
without=$(without/bin/python songs.py) || exit 2
with=$(with/bin/python songs.py) || exit 2
early=$(with/bin/python songs.py early) || exit 2
say() { echo "$1 $2 workers load $3 models"; }
with/bin/python - <<'END'
from importlib.metadata import version
print("versions: loky", version("loky") + ", psutil", version("psutil"))
END
echo "expected: one worker loads each of two models once, for six songs"
say "seen:     without psutil        " $without
say "          with psutil           " $with
say "          ..., loaded at start  " $early
[ "$without" = "1 2" ] && [ "$with" = "3 6" ] && [ "$early" = "1 0" ]
