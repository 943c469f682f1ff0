#!/usr/bin/env bash
# A diskcache with room for nine songs throws them all away for a tenth, and the tenth too.
#
# Whether it is full is asked after a value was written. Then the ten oldest go, as `cull_limit` says, whatever
# their size. Its usual limit is 1 GiB: songs of over 107 MB empty it at each tenth, and `cache[key] = song`
# is followed by a KeyError for that key. With small values nobody sees it. `cull_limit=1` keeps the rest.
# Seen with diskcache 5.6.3: room for nine values of 100 kB: the 10th, 20th, 30th and 40th are gone at once.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq diskcache==5.6.3 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
from diskcache import Cache

LIMIT = 1_000_000

def filled(folder, size, **how):
    """(numbers of the values that are gone at once, how many are kept after each)."""
    gone, kept = [], []
    with Cache(folder, size_limit=LIMIT, **how) as cache:
        for number in range(1, 41):
            cache[number] = bytes(size)
            if number not in cache:
                gone.append(number)
            kept.append(len(cache))
    return gone, kept

print("version:  diskcache", version("diskcache"))
print(f"expected: a full cache of {LIMIT:,} bytes keeps nine values of 100,000, and always the last one")
gone, kept = filled("large", 100_000)
less_gone, less_kept = filled("small", 60_000)
one_gone, one_kept = filled("one", 100_000, cull_limit=1)
print(f"seen:     of 100,000 bytes: kept after each {kept[:22]}..., gone at once: numbers {gone}")
print(f"          of 60,000 bytes: kept {less_kept[:22]}..., gone at once: {less_gone}")
print(f"          of 100,000 with cull_limit=1: kept {one_kept[:12]}..., gone at once: {one_gone}")
dropped = max(before - after for before, after in zip(less_kept, less_kept[1:]))
sys.exit(0 if len(gone) >= 3 and 0 in kept and not less_gone + one_gone and dropped >= 8 else 1)
END
