"""Programs that take in a whole folder: MPD, minidlna, beets, Mixxx. Each has one of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.readers.cells import Found, cover, picked
from tests.readers.made import FORMATS
from tests.readers.mixxx import mixxx
from tests.readers.processes import PATIENCE, running
from tests.support.ports import free_port
from tests.support.waiting import wait_for

_MPD = {
    "title": "Title", "artist": "Artist", "album": "Album", "albumartist": "AlbumArtist",
    "tracknumber": "Track", "discnumber": "Disc", "date": "Date", "genre": "Genre",
    "grouping": "Grouping", "composer": "Composer", "label": "Label", "comment": "Comment",
}  # fmt: skip
_MINIDLNA = {
    "title": "TITLE", "artist": "CREATOR", "album": "ALBUM", "albumartist": "ARTIST",
    "tracknumber": "TRACK", "discnumber": "DISC", "date": "DATE", "genre": "GENRE",
    "comment": "COMMENT",
}  # fmt: skip
_BEETS = {
    "title": "title", "artist": "artist", "album": "album", "albumartist": "albumartist",
    "tracknumber": "track", "discnumber": "disc", "date": "year", "genre": ("genres", "genre"),
    "bpm": "bpm", "key": "initial_key", "grouping": "grouping",
    "composer": ("composers", "composer"), "label": "label", "remixer": ("remixers", "remixer"),
    "isrc": "isrc", "comment": "comments",
    "compilation": "comp",
}  # fmt: skip
Read = Callable[[Path, Mapping[str, Path]], dict[str, Found]]


@dataclass(frozen=True)
class Server:
    """`take_in` is given an empty folder and the stems, which lie in one folder."""

    name: str
    told: tuple[str, ...]  # the command that prints its version
    take_in: Read
    formats: tuple[str, ...] = FORMATS

    def version(self) -> str | None:
        """None: it is not installed."""
        if shutil.which(self.told[0]) is None:
            return None
        done = subprocess.run(self.told, capture_output=True, text=True)
        found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
        return found[0] if found and not done.returncode else None

    def read(self, stems: Mapping[str, Path]) -> dict[str, Found]:
        with TemporaryDirectory() as folder:
            return self.take_in(Path(folder), stems)


def _mpd(folder: Path, stems: Mapping[str, Path]) -> dict[str, Found]:
    address = folder / "socket"
    (folder / "conf").write_text(
        f'music_directory "{next(iter(stems.values())).parent}"\n'
        f'db_file "{folder}/db"\nbind_to_address "{address}"\nlog_file "{folder}/log"\n'
        'metadata_to_use "+comment"\naudio_output {\ntype "null"\nname "none"\n}\n'
    )
    with running("mpd", "--no-daemon", str(folder / "conf")):
        wait_for(address.exists, timeout=PATIENCE)
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(address))
            stream = line.makefile("rwb")
            stream.readline()

            def say(command: str) -> list[str]:
                stream.write(command.encode() + b"\n")
                stream.flush()
                told = []
                while (answer := stream.readline()) and not answer.startswith((b"OK", b"ACK")):
                    told.append(answer.decode().rstrip("\n"))
                return told

            def picture(name: str) -> bytes | None:
                stream.write(f'readpicture "{name}" 0\n'.encode())
                stream.flush()
                head = {}
                while not (answer := stream.readline()).startswith((b"binary", b"OK", b"ACK")):
                    head[answer.partition(b": ")[0]] = answer
                if not answer.startswith(b"binary"):
                    return None
                data = stream.read(int(answer.split()[1]))
                stream.readline(), stream.readline()
                return data

            say("update")
            wait_for(
                lambda: not any(one.startswith("updating_db") for one in say("status")),
                timeout=PATIENCE,
            )
            found: dict[str, Found] = {}
            for kind, path in stems.items():
                lines = say(f'lsinfo "{path.name}"')
                given = dict(one.split(": ", 1) for one in lines)
                found[kind] = picked(_MPD, given) | cover(picture(path.name))
            return found


def _minidlna(folder: Path, stems: Mapping[str, Path]) -> dict[str, Found]:
    (folder / "conf").write_text(
        f"media_dir=A,{next(iter(stems.values())).parent}\ndb_dir={folder}/db\nlog_dir={folder}\n"
        f"port={free_port()}\nnetwork_interface=lo\ninotify=no\nuser={os.geteuid()}\n"
    )

    def rows() -> dict[str, dict[str, Any]]:
        with (
            contextlib.suppress(sqlite3.Error),
            contextlib.closing(
                sqlite3.connect(f"file:{folder}/db/files.db?mode=ro", uri=True)
            ) as db,
        ):
            db.row_factory = sqlite3.Row
            told = db.execute("SELECT * FROM DETAILS WHERE PATH IS NOT NULL AND MIME IS NOT NULL")
            return {row["PATH"]: dict(row) for row in told}
        return {}

    conf = str(folder / "conf")
    with running("minidlnad", "-d", "-f", conf, "-P", str(folder / "pid")):
        wait_for(lambda: len(rows()) >= len(stems), timeout=PATIENCE)
        found = rows()
    return {
        kind: picked(_MINIDLNA, found[str(path)]) | cover(found[str(path)]["ALBUM_ART"])
        for kind, path in stems.items()
    }


def _beets(folder: Path, stems: Mapping[str, Path]) -> dict[str, Found]:
    (folder / "config.yaml").write_text(
        f"directory: {folder}/music\nlibrary: {folder}/db\nimport: {{copy: no, write: no}}\n"
    )
    beet = (sys.executable, "-m", "beets", "-c", str(folder / "config.yaml"))
    env = {**os.environ, "BEETSDIR": str(folder), "HOME": str(folder)}
    where = str(next(iter(stems.values())).parent)
    subprocess.run([*beet, "import", "-qA", where], check=True, capture_output=True, env=env)
    with contextlib.closing(sqlite3.connect(folder / "db")) as db:
        db.row_factory = sqlite3.Row
        rows = {Path(os.fsdecode(row["path"])).name: dict(row)
                for row in db.execute("SELECT * FROM items")}  # fmt: skip
    return {kind: picked(_BEETS, rows.get(path.name, {})) for kind, path in stems.items()}


SERVERS = (
    Server("Mixxx", ("dpkg-query", "-W", "-f", "${Version}", "mixxx"), mixxx),
    Server("MPD", ("mpd", "--version"), _mpd),
    Server("minidlna", ("minidlnad", "-V"), _minidlna),
    Server("beets", (sys.executable, "-m", "beets", "version"), _beets),
)
