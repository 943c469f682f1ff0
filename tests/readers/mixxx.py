"""Mixxx itself, on a screen that nobody sees (Xvfb): what its library holds after a scan."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.readers.cells import Found, cover, picked
from tests.readers.processes import PATIENCE, running
from tests.support.waiting import wait_for

_NAMES = {
    "title": "title", "artist": "artist", "album": "album", "albumartist": "album_artist",
    "tracknumber": "tracknumber", "date": "year", "genre": "genre", "bpm": "bpm", "key": "key",
    "grouping": "grouping", "composer": "composer", "comment": "comment",
}  # fmt: skip
_EMBEDDED = 1  # `coverart_type` of a cover inside the file


def mixxx(folder: Path, stems: Mapping[str, Path]) -> dict[str, Found]:
    """It asks for a folder in a window, so its first run only makes the database."""
    settings, music = folder / "settings", next(iter(stems.values())).parent
    for made in (settings, folder / "run"):
        made.mkdir(mode=0o700)
    (settings / "mixxx.cfg").write_text("[Config]\nVersion 2.3.3\n[Library]\nRescanOnStartup 1\n")
    database = settings / "mixxxdb.sqlite"

    def complete() -> bool:
        with contextlib.closing(sqlite3.connect(database)) as db:
            last = "SELECT count(*) FROM sqlite_master WHERE name = 'serato_playlist_tracks'"
            return bool(db.execute(last).fetchone()[0])

    def rows() -> dict[str, dict[str, Any]]:
        with contextlib.closing(sqlite3.connect(database)) as db:
            db.row_factory = sqlite3.Row
            told = db.execute("SELECT * FROM library WHERE header_parsed")
            return {row["filetype"]: dict(row) for row in told}

    with running("Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", says=True) as screen:
        assert screen.stdout is not None
        env = {**os.environ, "DISPLAY": f":{screen.stdout.readline().strip()}"}
        env |= {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}
        command = ("mixxx", "--settingsPath", f"{settings}/", "--developer")
        with running(*command, env=env):
            wait_for(lambda: database.exists() and complete(), timeout=PATIENCE)
        with contextlib.closing(sqlite3.connect(database)) as db, db:
            db.execute("INSERT INTO directories VALUES (?)", (str(music),))
        with running(*command, env=env):
            wait_for(lambda: len(rows()) >= len(stems), timeout=PATIENCE)
    found = rows()
    return {
        kind: picked(_NAMES, found[kind]) | cover(found[kind]["coverart_type"] == _EMBEDDED)
        for kind in stems
    }
