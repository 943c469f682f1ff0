"""What probing a song of four minutes costs: `python -m tests.benchmarks.bench_probe [REVISION]`.

Each format by this checkout and by the one of REVISION (default: HEAD~1), one after another in the
same run, each in a process of its own: CPU milliseconds, the best of seven. And the same damages
of a song of half a minute by both: a cut at 60 places, a hole of 2 % and of 20 % at 30 each; how
many are refused.

Goal: at most 0.6 x for MP3, M4A and WEBM, and no damage missed that was found. About a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.serving import ROOT
from tests.support.audio_samples import tone
from tests.support.odd_files import encode

LONG, SHORT = 240.0, 30.0  # seconds
PROGRAM = Path(__file__).with_name("probe_look.py")
SONGS = {
    "mp3": ("libmp3lame", 44_100, 256_000, "mp3"),
    "m4a": ("aac", 44_100, 192_000, "mp4"),
    "webm": ("libopus", 48_000, 128_000, "webm"),
    "ogg": ("vorbis", 44_100, 160_000, "ogg"),
    "flac": ("flac", 44_100, None, "flac"),
}
GOALS = {"mp3": 0.6, "m4a": 0.6, "webm": 0.6}


def songs(folder: Path, seconds: float) -> None:
    """One of each format."""
    for name, (codec, rate, bit_rate, container) in SONGS.items():
        path, sound = folder / f"song.{name}", tone(seconds, rate=rate)
        encode(path, codec, rate=rate, bit_rate=bit_rate, container=container, samples=sound)


def told_by(checkout: Path, long: Path, short: Path) -> dict[str, dict[str, Any]]:
    """What the code of a checkout says, run by this interpreter."""
    command = [sys.executable, PROGRAM, long, short]
    env = os.environ | {"PYTHONPATH": os.fspath(checkout)}
    done = subprocess.run(command, cwd=checkout, env=env, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout))


def main() -> int:
    revision = sys.argv[1] if len(sys.argv) > 1 else "HEAD~1"
    with tempfile.TemporaryDirectory(prefix="stemwatch-bench-") as root:
        before, long, short = (Path(root) / name for name in ("before", "long", "short"))
        for folder, seconds in ((long, LONG), (short, SHORT)):
            folder.mkdir()
            songs(folder, seconds)
        subprocess.run(["git", "worktree", "add", "-q", "--detach", before, revision], check=True)
        try:
            old, new = told_by(before, long, short), told_by(ROOT, long, short)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", before], check=True)
    failed = False
    print(f"{'':5} {revision:>10}  {'now':>9}  {'ratio':>5}   damages refused, of 120")
    for name in SONGS:
        ratio = new[name]["ms"] / old[name]["ms"]
        pairs = list(zip(old[name]["refused"], new[name]["refused"], strict=True))
        missed = sum(was and not now for was, now in pairs)
        counts = f"{sum(was for was, _ in pairs)} -> {sum(now for _, now in pairs)}"
        print(
            f"{name:5} {old[name]['ms']:7.1f} ms  {new[name]['ms']:6.1f} ms  {ratio:5.2f}   "
            f"{counts}, {missed} missed that were found"
        )
        failed = failed or missed > 0 or ratio > GOALS.get(name, 1.15)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
