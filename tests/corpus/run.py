"""Compare our judgement of every file in a folder with an independent decoder's: a table.

    tests/corpus/run FOLDER            (or: python -m tests.corpus.run FOLDER)

Needs the programs `ffmpeg` and `ffprobe`. What is listed is a disagreement: a length that differs
by more than 0.15 s and 1 %, other channels, another rate, a file refused that decodes whole, one
accepted that does not decode, a text tag that only they read. Nothing is listed where both agree,
where we refuse by rule (`chained`, `protected`, a rate below 4 kHz), where stemwatch does not read
the format, or of a file below 1 s, which is refused anyway.
Exit 0: no disagreement. 1: some. 2: no folder, no decoder.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from stemwatch.audio.frames import CONTAINERS
from stemwatch.audio.helper.client import AudioHelper
from stemwatch.audio.results import Probe
from stemwatch.audio.tags import read_tags
from stemwatch.errors import Reject
from tests.corpus.ffmpeg import NoDecoder, Reading, read

SECONDS, SHARE = 0.15, 0.01  # a length may differ by the greater of them
SHORTEST, SLOWEST = 1.0, 4_000  # seconds, Hz
BY_RULE = {"chained", "protected"}
_TEXTS = ("title", "artist", "album", "genre")


class Row(NamedTuple):
    """One disagreement: what it is about, and what each says."""

    path: str
    about: str
    ours: str
    theirs: str


def disagreements(
    path: str, ours: Probe | Reject, texts: set[str], theirs: Reading
) -> Iterator[Row]:
    """Where the two differ beyond what is tolerated; `texts` are the names of the tags we read."""
    heard = f"{theirs.seconds:.2f} s"
    ours_seconds = 0.0 if isinstance(ours, Reject) else ours.duration
    if max(theirs.seconds, ours_seconds) < SHORTEST or 0 < theirs.rate < SLOWEST:
        return
    if isinstance(ours, Reject):
        if theirs.whole and ours.code not in BY_RULE:
            yield Row(path, "damaged", f"{ours.code}: {ours.message}", f"whole, {heard}")
        return
    if not theirs.seconds:
        yield Row(path, "damaged", f"whole, {ours.duration:.2f} s", "nothing decodes")
        return
    if abs(ours.duration - theirs.seconds) > max(SECONDS, SHARE * theirs.seconds):
        yield Row(path, "length", f"{ours.duration:.2f} s", heard)
    if ours.channels != theirs.channels:
        yield Row(path, "channels", str(ours.channels), str(theirs.channels))
    if ours.sample_rate != theirs.rate:
        yield Row(path, "rate", str(ours.sample_rate), str(theirs.rate))
    for name in _TEXTS:
        text = theirs.tags.get(name, "").strip()
        if text and name not in texts and not text.isdigit():  # a genre's number out of range
            yield Row(path, "tags", f"no {name}", text[:40])


class Judged(NamedTuple):
    """One file: our answer in a word, and the disagreements."""

    word: str
    rows: list[Row]


async def judge(folder: str) -> list[Judged]:
    """Every file below `folder`, in the order of their names."""
    paths = sorted(os.fspath(path) for path in Path(folder).rglob("*") if path.is_file())
    helper = AudioHelper()
    with ThreadPoolExecutor(2) as pool:
        seats = asyncio.Semaphore(2)

        async def one(path: str) -> Judged:
            async with seats:
                theirs = await asyncio.get_running_loop().run_in_executor(pool, read, path)
                return await _judged(helper, os.path.abspath(path), folder, theirs)

        try:
            return list(await asyncio.gather(*map(one, paths)))
        finally:
            await helper.close()


async def _judged(helper: AudioHelper, path: str, folder: str, theirs: Reading) -> Judged:
    read_by_us = set(theirs.container.split(",")) & set(CONTAINERS.split(","))
    if theirs.container and not read_by_us:
        return Judged("another format", [])
    texts: set[str] = set()
    try:
        ours: Probe | Reject = await helper.probe(path)
        texts = set(read_tags(path).text)
    except Reject as refusal:
        ours = refusal
    word = ours.code if isinstance(ours, Reject) else "accepted"
    return Judged(word, [*disagreements(os.path.relpath(path, folder), ours, texts, theirs)])


def table(rows: list[Row]) -> Iterator[str]:
    """The rows, as wide as they need be; our words at most 90 letters."""
    shown = [(*row[:2], row.ours[:90], row.theirs) for row in (Row(*_HEAD), *rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


_HEAD = ("file", "about", "stemwatch", "ffmpeg")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests/corpus/run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder")
    folder = parser.parse_args().folder
    if not os.path.isdir(folder):
        parser.error(f"{folder} is no folder")
    try:
        judged = asyncio.run(judge(folder))
    except NoDecoder as missing:
        parser.error(str(missing))
    rows = [row for one in judged for row in one.rows]
    for line in table(rows) if rows else ():
        print(line.encode("utf-8", "backslashreplace").decode())
    words = Counter(one.word for one in judged)
    counted = ", ".join(f"{count} {word}" for word, count in words.most_common())
    print(f"{len(judged)} files ({counted}): {len(rows)} disagreements")
    return 1 if rows else 0


if __name__ == "__main__":
    sys.exit(main())
