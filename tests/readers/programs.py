"""Programs that print what one file says: ffprobe, mediainfo, exiftool, GStreamer, Node's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.readers.cells import THERE, Found, Said, cover, picked
from tests.readers.libraries import FFMPEG
from tests.readers.made import FORMATS

# The folder in which `npm install` put the libraries for Node.
NODE = os.environ.get("READERS_NODE", ".")
_EXIFTOOL = {
    "title": "Title", "artist": "Artist", "album": "Album", "genre": "Genre",
    "albumartist": ("Albumartist", "Band", "AlbumArtist"),
    "tracknumber": ("TrackNumber", "Track"),
    "discnumber": ("Discnumber", "PartOfSet", "DiskNumber"),
    "date": ("Date", "RecordingTime", "ContentCreateDate"), "bpm": ("Bpm", "BeatsPerMinute"),
    "key": ("Initialkey", "InitialKey"), "grouping": "Grouping", "composer": "Composer",
    "label": ("Label", "Publisher"), "remixer": ("Remixer", "InterpretedBy"),
    "isrc": ("ISRC", "ISRCNumber"), "comment": ("Comment", "Comment-xxx"),
    "compilation": "Compilation",
}  # fmt: skip
_MEDIAINFO = {
    "title": "Track", "artist": "Performer", "album": "Album", "albumartist": "Album_Performer",
    "tracknumber": "Track_Position", "discnumber": ("Part_Position", "Part"),
    "date": "Recorded_Date", "genre": "Genre", "bpm": "BPM",
    "key": ("Initial_key", "INITIALKEY", "initialkey"),
    "grouping": ("Grouping", "GROUPING"), "composer": "Composer", "label": ("Label", "Publisher"),
    "remixer": ("RemixedBy", "REMIXER"), "isrc": "ISRC", "comment": "Comment",
    "compilation": ("Compilation", "COMPILATION"),
}  # fmt: skip
_GSTREAMER = {
    "title": "title", "artist": "artist", "album": "album", "albumartist": "album artist",
    "tracknumber": "track number", "discnumber": "disc number", "date": "datetime",
    "genre": "genre", "bpm": "beats per minute", "key": "musical-key", "grouping": "grouping",
    "composer": "composer", "label": "publisher", "remixer": "interpreted-by", "isrc": "ISRC",
    "comment": "comment", "compilation": "compilation",
}  # fmt: skip
_MUSIC_METADATA = """
import {parseFile} from 'music-metadata';
const {common} = await parseFile(process.argv[1]);
const {picture, comment, track, disk, ...rest} = common;
console.log(JSON.stringify({...rest, track: track.no, disk: disk.no,
  comment: comment?.map(one => one.text),
  cover: Buffer.from(picture?.[0].data ?? []).toString('hex')}));
"""
_TAGLIB_SHARP = """
import lib from 'node-taglib-sharp';
const t = lib.File.createFromPath(process.argv[1]).tag;
console.log(JSON.stringify({title: t.title, artist: t.performers, album: t.album,
  albumartist: t.albumArtists, track: t.track, disk: t.disc, year: t.year, genre: t.genres,
  bpm: t.beatsPerMinute, key: t.initialKey, grouping: t.grouping, composer: t.composers,
  label: t.publisher, remixer: t.remixedBy, isrc: t.isrc, comment: t.comment,
  compilation: t.isCompilation || null,
  cover: Buffer.from(t.pictures[0]?.data.toByteArray() ?? []).toString('hex')}));
"""


def printed(*command: str, cwd: str | None = None) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd).stdout


@dataclass(frozen=True)
class Program:
    """`told` gives its version, `ask` reads one file; `needs` is what has to be installed."""

    name: str
    needs: str
    told: Callable[[], str]
    ask: Callable[[Path], Found]
    formats: tuple[str, ...] = FORMATS

    def version(self) -> str | None:
        """None: it is not installed."""
        if shutil.which(self.needs) is None:
            return None
        try:
            found = re.search(r"(?<!-)\d+(\.\d+)+", self.told())
        except (OSError, subprocess.CalledProcessError):
            return None
        return found and found[0]

    def read(self, stems: Mapping[str, Path]) -> dict[str, Found]:
        return {kind: self.ask(stems[kind]) for kind in self.formats if kind in stems}


def _ffprobe(path: Path) -> Found:
    given = json.loads(
        printed("ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", str(path))
    )
    tags = {name.lower(): value for name, value in given["format"].get("tags", {}).items()}
    covers = [one for one in given["streams"] if one["disposition"]["attached_pic"]]
    return picked(FFMPEG, tags) | cover(covers and THERE)


def _mediainfo(path: Path) -> Found:
    (given, *_) = json.loads(printed("mediainfo", "--Output=JSON", str(path)))["media"]["track"]
    found = _plain(picked(_MEDIAINFO, {**given.get("extra", {}), **given}))
    return found | cover(given.get("Cover") == "Yes")


def _exiftool(path: Path) -> Found:
    (given,) = json.loads(printed("exiftool", "-json", str(path)))
    found = _plain(picked(_EXIFTOOL, given))
    return found | cover("Picture" in given or "CoverArt" in given)


def _plain(found: Found) -> dict[str, Said]:
    """For a reader that names a field as each format does: none of its names is an unusual one."""
    return {field: Said(said.value) for field, said in found.items()}


def _gstreamer(path: Path) -> Found:
    lines = printed("gst-discoverer-1.0", "-v", str(path)).splitlines()
    tags = (re.match(r" +([^:]+): (.+)", line) for line in lines)
    given = {tag[1]: tag[2] for tag in tags if tag}
    found = picked(_GSTREAMER, given)
    return found | cover("image" in given)


def _node(script: str) -> Callable[[Path], Found]:
    def ask(path: Path) -> Found:
        told = printed("node", "--input-type=module", "-e", script, str(path), cwd=NODE)
        given: dict[str, Any] = json.loads(told)
        names: dict[str, str] = {"tracknumber": "track", "discnumber": "disk", "date": "year"}
        found = picked({field: names.get(field, field) for field in _GSTREAMER}, given)
        return found | cover(bytes.fromhex(given.get("cover") or ""))

    return ask


def _installed(package: str) -> Callable[[], str]:
    def told() -> str:
        with open(f"{NODE}/node_modules/{package}/package.json") as file:
            return str(json.load(file)["version"])

    return told


def _says(*command: str) -> Callable[[], str]:
    return lambda: printed(*command)


PROGRAMS = (
    Program("ffprobe", "ffprobe", _says("ffprobe", "-version"), _ffprobe),
    Program("mediainfo", "mediainfo", _says("mediainfo", "--Version"), _mediainfo),
    Program("exiftool", "exiftool", _says("exiftool", "-ver"), _exiftool),
    Program("GStreamer", "gst-discoverer-1.0", _says("gst-inspect-1.0", "--version"), _gstreamer),
    Program("music-metadata", "node", _installed("music-metadata"), _node(_MUSIC_METADATA)),
    Program("node-taglib-sharp", "node", _installed("node-taglib-sharp"), _node(_TAGLIB_SHARP)),
)
