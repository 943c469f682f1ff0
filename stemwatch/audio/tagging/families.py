"""Each family of tags, as mutagen (or FFmpeg's demuxer) gives it, read into our fields."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import mutagen.flac
import mutagen.mp4

from stemwatch.audio.tagging.song_tags import GROUPING, ID3_FRAMES, Cover, SourceTags

_PICTURE: Any = mutagen.flac.Picture  # half of mutagen is typed
_FREEFORM = "----:com.apple.iTunes:"
_ATOMS = {
    "title": ("©nam",),
    "artist": ("©ART",),
    "album": ("©alb",),
    "albumartist": ("aART",),
    "date": ("©day",),
    "genre": ("©gen",),
    "tracknumber": ("trkn",),
    "discnumber": ("disk",),
    "bpm": (f"{_FREEFORM}BPM", "tmpo"),  # tmpo holds whole numbers only
    "key": (f"{_FREEFORM}initialkey", f"{_FREEFORM}KEY"),
    "composer": ("©wrt",),
    "isrc": (f"{_FREEFORM}ISRC",),
    "label": (f"{_FREEFORM}LABEL", f"{_FREEFORM}PUBLISHER"),
    "remixer": (f"{_FREEFORM}REMIXER",),
    "comment": ("©cmt",),
    "grouping": ("©grp",),
    "compilation": ("cpil",),
}
_APE_COVER = "cover art (front)"
# Names that programs give a field in families without fixed ones; case, blanks, - and _ aside.
_NAMES = {name: (name,) for name in ID3_FRAMES} | {
    "date": ("date", "year", "datereleased", "daterecorded"),
    "tracknumber": ("tracknumber", "track", "partnumber"),
    "discnumber": ("discnumber", "disc", "disk"),
    "bpm": ("bpm", "tbpm", "ibpm", "tempo", "wm/beatsperminute"),
    "key": ("initialkey", "tkey", "key", "wm/initialkey"),
    "composer": ("composer", "tcom"),
    "isrc": ("isrc", "tsrc"),
    "label": ("label", "publisher", "organization", "tpub"),
    "remixer": ("remixer", "mixartist", "tpe4"),
    "comment": ("comment",),
    "grouping": ("grouping", "contentgroup", "tit1", "grp1"),
    "compilation": ("compilation", "tcmp", "itunescompilation"),
}


def from_named(found: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Our fields of Vorbis comments, APEv2 items, or what FFmpeg read: names to values."""
    folded = {_folded(name): value for name, value in found.items()}
    text = {}
    for field, names in _NAMES.items():
        values = (_values(folded[name]) for name in names if name in folded)
        if first := next(filter(None, values), ()):
            text[field] = first
    return _without_zero(text)


def _without_zero(text: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """A compilation that is none says nothing."""
    if text.get("compilation", ("1",))[0] in ("0", "False"):
        del text["compilation"]
    return text


def _folded(name: str) -> str:
    return name.lower().translate({ord(mark): None for mark in " -_"})


def _values(found: Any) -> tuple[str, ...]:
    """One text, a list of them, or an APEv2 item that holds several."""
    return _clean([found] if isinstance(found, str) else found)


def _clean(values: Iterable[object]) -> tuple[str, ...]:
    return tuple(shown for value in values if (shown := str(value).replace("\0", "").strip()))


def from_id3(frames: Mapping[str, Any]) -> SourceTags:
    text = {}
    for name, frame_id in ID3_FRAMES.items():
        frame = _comment(frames) if name == "comment" else frames.get(frame_id)
        if name == "grouping":
            frame = frames.get(GROUPING) or frame
        if frame is not None:
            text[name] = _clean(_genres(frame) if name == "genre" else frame.text)
    text = _without_zero(text)
    pictures = [frame for key, frame in dict(frames).items() if key.startswith("APIC")]
    return SourceTags({name: values for name, values in text.items() if values}, _front(pictures))


def _comment(frames: Mapping[str, Any]) -> Any:
    """The comment without a description: those with one are gains, ratings and the like."""
    found = (frame for key, frame in dict(frames).items() if key.startswith("COMM:"))
    return next((frame for frame in found if not frame.desc), None)


def _genres(frame: Any) -> list[str]:
    """Without the "Unknown" that mutagen makes of a number out of range."""
    return [genre for genre in frame.genres if genre != "Unknown"]


def from_comments(comments: Mapping[str, Any] | None, pictures: Iterable[Any] = ()) -> SourceTags:
    """Vorbis comments, with a FLAC's pictures; those of an Ogg are comments themselves."""
    found = dict(comments or {})
    inside = found.get("metadata_block_picture", []), found.get("coverart", [])
    return SourceTags(
        from_named(found),
        attempt(lambda: _front([*pictures, *map(_block, inside[0])]))
        or attempt(lambda: image(base64.b64decode("".join(inside[1][:1])))),
    )


def _block(encoded: str) -> Any:
    return _PICTURE(base64.b64decode(encoded))


def from_ape(items: Mapping[str, Any]) -> SourceTags:
    text = {name: list(item) for name, item in dict(items).items() if item.kind == 0}
    covers = [item.value for name, item in dict(items).items() if name.lower() == _APE_COVER]
    # A file's name, a zero byte, the picture.
    return SourceTags(from_named(text), image(covers[0].partition(b"\0")[2]) if covers else None)


def from_mp4(atoms: Mapping[str, Any]) -> SourceTags:
    text: dict[str, tuple[str, ...]] = {}
    for name, candidates in _ATOMS.items():
        for atom in candidates:
            if values := _clean(_atom(atom, dict(atoms).get(atom, []))):
                text.setdefault(name, values)
    text = _without_zero(text)
    covers = dict(atoms).get("covr") or []
    return SourceTags(text, image(bytes(covers[0])) if covers else None)


def _atom(name: str, values: Any) -> list[Any]:
    if name in ("trkn", "disk"):
        return [f"{n}/{total}" if total else f"{n}" for n, total in values if n]
    if name == "cpil":
        return ["1"] if values else []
    if name.startswith(_FREEFORM):
        return [bytes(value).decode("utf-8", "replace") for value in values]
    return list(values)


def _front(pictures: list[Any]) -> Cover | None:
    """The front cover (type 3), or the first picture."""
    for picture in sorted(pictures, key=lambda picture: picture.type != 3):
        if picture.data:
            return Cover(picture.data, picture.mime or "image/jpeg")
    return None


def image(data: bytes) -> Cover | None:
    """A picture that nobody says the type of; None for no bytes."""
    mime = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
    return Cover(data, mime) if data else None


def attempt(read: Callable[[], Cover | None]) -> Cover | None:
    """A broken cover doesn't cost the other tags."""
    try:
        return read()
    except Exception:
        return None
