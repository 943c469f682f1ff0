"""One checkout's part of `bench_probe`: what probing costs it, and which damages it refuses.

Imports nothing but stemwatch: an older checkout runs it as well.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from stemwatch.audio.probe import probe
from stemwatch.errors import Reject

LOOKS = 7


def damaged(data: bytes) -> list[bytes]:
    """Cut at 60 places; a hole of zeros of 2 % and of 20 % at 30 each."""
    made = [data[: len(data) * place // 61] for place in range(1, 61)]
    for share in (0.02, 0.2):
        for place in range(30):
            start, length = len(data) * place // 30, int(len(data) * share)
            made.append((data[:start] + bytes(length) + data[start + length :])[: len(data)])
    return made


def cost(path: Path) -> float:
    """CPU milliseconds, the best of LOOKS."""
    times = []
    for _ in range(LOOKS):
        before = time.process_time()
        probe(os.fspath(path))
        times.append(time.process_time() - before)
    return min(times) * 1000


def is_refused(path: Path) -> bool:
    try:
        probe(os.fspath(path))
    except Reject:
        return True
    return False


def refusals(path: Path) -> list[bool]:
    """Of each damage done to that song."""
    copy, refused = path.with_name(f"damaged{path.suffix}"), []
    for data in damaged(path.read_bytes()):
        copy.write_bytes(data)
        refused.append(is_refused(copy))
    copy.unlink()
    return refused


def main() -> None:
    long, short = map(Path, sys.argv[1:])
    told = {
        path.suffix[1:]: {"ms": cost(path), "refused": refusals(short / path.name)}
        for path in sorted(long.glob("song.*"))
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
