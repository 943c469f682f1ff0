#!/usr/bin/env bash
# asyncinotify's recursive watch hears that a file is begun in a new folder, and never that it is finished.
#
# A folder that is made or moved in later is watched, but only for new names: the mask that was asked for is
# looked up under the new folder's own path, where none is kept yet. A service that waits for CLOSE_WRITE hears
# every song of the folders that were there at its start, and none of the others, until it is started anew.
# The same package's RecursiveWatcher hears both.
# Seen with asyncinotify 4.4.4: in the old folder CREATE and CLOSE_WRITE, in the new one CREATE alone.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq asyncinotify==4.4.4 || exit 2
cd "$work" && venv/bin/python - <<'END'
import asyncio, sys
from importlib.metadata import version
from pathlib import Path
from asyncinotify import Mask, RecursiveInotify, RecursiveWatcher

ASKED = Mask.CLOSE_WRITE

async def by_inotify(inbox):
    with RecursiveInotify() as inotify:
        inotify.add_recursive_watch(inbox, ASKED)
        async for event in inotify:
            yield event

async def heard(events, inbox):
    """The events of a song in an old and in a new folder, up to one at the root that ends it."""
    (inbox / "old").mkdir(parents=True)
    names = {"old/song.mp3": [], "new/song.mp3": [], "last.mp3": []}
    async def listen():
        async for event in events(inbox):
            name = str(event.path.relative_to(inbox))
            for mask in (Mask.CREATE, Mask.CLOSE_WRITE):
                if name in names and event.mask & mask:
                    names[name].append(mask.name)
            if names["last.mp3"][-1:] == ["CLOSE_WRITE"]:
                return
    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.5)
    (inbox / "new").mkdir()
    await asyncio.sleep(0.5)  # it is watched by now
    for name in names:
        (inbox / name).write_bytes(b"a song")
    async with asyncio.timeout(20):
        await listening
    return names

async def main():
    one = await heard(by_inotify, Path("one").absolute())
    other = await heard(lambda inbox: RecursiveWatcher(inbox, ASKED).watch_recursive(), Path("other").absolute())
    return one, other

one, other = asyncio.run(main())
print("version:  asyncinotify", version("asyncinotify"))
print("expected: CLOSE_WRITE, which was asked for, of each song")
print("seen:     RecursiveInotify: in the old folder", ", ".join(one["old/song.mp3"]), "- in the new one", ", ".join(one["new/song.mp3"]))
print("          RecursiveWatcher: in the old folder", ", ".join(other["old/song.mp3"]), "- in the new one", ", ".join(other["new/song.mp3"]))
finished = ["CLOSE_WRITE" in names[song] for names in (one, other) for song in ("old/song.mp3", "new/song.mp3")]
sys.exit(0 if finished == [True, False, True, True] and one["new/song.mp3"] == ["CREATE"] else 1)
END
