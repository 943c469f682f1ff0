"""Libraries for Python, each asked in the words of its own documentation."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.readers.cells import Found, cover, picked
from tests.readers.made import FORMATS

_COMMENTS = {
    "title": "title", "artist": "artist", "album": "album", "albumartist": "albumartist",
    "tracknumber": "tracknumber", "discnumber": "discnumber", "date": "date", "genre": "genre",
    "bpm": "bpm", "key": "initialkey", "grouping": "grouping", "composer": "composer",
    "label": "label", "remixer": "remixer", "isrc": "isrc", "comment": "comment",
    "compilation": "compilation",
}  # fmt: skip
_FRAMES = {
    "title": "TIT2", "artist": "TPE1", "album": "TALB", "albumartist": "TPE2",
    "tracknumber": "TRCK", "discnumber": "TPOS", "date": "TDRC", "genre": "TCON", "bpm": "TBPM",
    "key": "TKEY", "grouping": ("GRP1", "TIT1"), "composer": "TCOM", "label": "TPUB",
    "remixer": "TPE4", "isrc": "TSRC", "comment": "COMM::XXX", "compilation": "TCMP",
}  # fmt: skip
_ATOMS = {
    "title": "©nam", "artist": "©ART", "album": "©alb", "albumartist": "aART", "date": "©day",
    "genre": "©gen", "bpm": "----:com.apple.iTunes:BPM", "composer": "©wrt", "comment": "©cmt",
    "key": "----:com.apple.iTunes:initialkey", "label": "----:com.apple.iTunes:LABEL",
    "remixer": "----:com.apple.iTunes:REMIXER", "isrc": "----:com.apple.iTunes:ISRC",
    "tracknumber": "trkn", "discnumber": "disk", "compilation": "cpil", "grouping": "©grp",
}  # fmt: skip
# FFmpeg's own names come first; what it has no name for stands under that of the file.
FFMPEG = {
    "title": "title", "artist": "artist", "album": "album", "albumartist": "album_artist",
    "tracknumber": "track", "discnumber": "disc", "date": "date", "genre": "genre",
    "bpm": ("bpm", "tbpm", "ibpm"), "key": ("initialkey", "tkey"), "grouping": "grouping",
    "composer": ("composer", "imus"), "label": ("label", "publisher"),
    "remixer": ("remixer", "tpe4"), "isrc": ("isrc", "tsrc"), "comment": "comment",
    "compilation": "compilation",
}  # fmt: skip


@dataclass(frozen=True)
class Library:
    """`ask` reads one file with the library's module, which is given to it."""

    name: str
    package: str
    module: str
    ask: Callable[[Any, Path], Found]
    formats: tuple[str, ...] = FORMATS

    def version(self) -> str | None:
        """None: it is not installed."""
        try:
            importlib.import_module(self.module)
            return importlib.metadata.version(self.package)
        except ImportError:
            return None

    def read(self, stems: Mapping[str, Path]) -> dict[str, Found]:
        module = importlib.import_module(self.module)
        return {kind: self.ask(module, stems[kind]) for kind in self.formats if kind in stems}


def _mutagen(mutagen: Any, path: Path) -> Found:
    file = mutagen.File(path)
    if hasattr(file, "pictures"):
        found, pictures = picked(_COMMENTS, dict(file.tags)), file.pictures
    elif path.suffix == ".m4a":
        atoms = {name: _atom(value) for name, value in file.tags.items() if name != "covr"}
        return picked(_ATOMS, atoms) | cover(bytes(file.tags["covr"][0]))
    else:
        frames = {name: _words(frame) for name, frame in file.tags.items()}
        found, pictures = picked(_FRAMES, frames), file.tags.getall("APIC")
    return found | cover(pictures[0].data if pictures else None)


def _words(frame: Any) -> list[str] | None:
    return [str(one) for one in frame.text] if hasattr(frame, "text") else None


def _atom(value: Any) -> Any:
    one = value[0] if isinstance(value, list) else value
    return one.decode() if isinstance(one, bytes) else one[0] if isinstance(one, tuple) else one


def _pyav(av: Any, path: Path) -> Found:
    with av.open(str(path)) as file:
        given = {name.lower(): value for name, value in file.metadata.items()}
        pictures = [bytes(packet) for packet in file.demux(file.streams.video) if packet.size]
    return picked(FFMPEG, given) | cover(next(iter(pictures), None))


def _taglib(taglib: Any, path: Path) -> Found:
    with taglib.File(str(path)) as file:
        names = {field: name.upper() for field, name in _COMMENTS.items()}
        found = picked(names | {"grouping": ("GROUPING", "WORK")}, file.tags)
        return found | cover(file.pictures[0].data if file.pictures else None)


def _mediafile(mediafile: Any, path: Path) -> Found:
    file = mediafile.MediaFile(path)
    names = {"tracknumber": "track", "discnumber": "disc", "key": "initial_key"}
    names |= {"comment": "comments", "compilation": "comp", "remixer": "remixers"}
    names = {field: names.get(field, field) for field in _COMMENTS}
    found = picked(names, {name: getattr(file, name) for name in names.values()})
    return found | cover(file.art)


def _tinytag(tinytag: Any, path: Path) -> Found:
    tag = tinytag.TinyTag.get(path, image=True)
    names: dict[str, Any] = {"tracknumber": "track", "discnumber": "disc", "date": "year"}
    names |= {"key": "initial_key", "label": ("label", "publisher")}
    names |= {"remixer": ("remixer", "tpe4"), "compilation": ("compilation", "tcmp")}
    found = picked({field: names.get(field, field) for field in _COMMENTS}, tag.as_dict())
    front = tag.images.front_cover
    return found | cover(front and front.data)


def _eyed3(eyed3: Any, path: Path) -> Found:
    tag = eyed3.load(str(path)).tag
    values = {
        "title": tag.title, "artist": tag.artist, "album": tag.album,
        "albumartist": tag.album_artist, "tracknumber": tag.track_num.count,
        "discnumber": tag.disc_num.count, "date": tag.recording_date, "genre": tag.genre.name,
        "bpm": tag.bpm, "composer": tag.composer, "label": tag.publisher,
        "comment": [one.text for one in tag.comments],
    }  # fmt: skip
    found = picked({field: field for field in values}, values)
    return found | cover(next((one.image_data for one in tag.images), None))


LIBRARIES = (
    Library("TagLib", "pytaglib", "taglib", _taglib),
    Library("mutagen", "mutagen", "mutagen", _mutagen),
    Library("mediafile", "mediafile", "mediafile", _mediafile),
    Library("tinytag", "tinytag", "tinytag", _tinytag),
    Library("eyeD3", "eyeD3", "eyed3", _eyed3, ("mp3",)),
    Library("PyAV", "av", "av", _pyav),
)
