"""File names in an inbox: songs, junk, and temporary names that mean "not finished yet".

All comparisons ignore case: `SONG.MP3` is a song, `THUMBS.DB` is junk.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator

# Browsers, downloaders and copy programs write under such names and rename the file at the end.
TEMP_SUFFIXES = (
    ".partial",
    ".crdownload",
    ".part",
    ".opdownload",
    ".download",
    ".filepart",
    ".fdmdownload",
    ".dctmp",
    ".!qb",
    ".!ut",
    ".bc!",
    ".aria2",
    ".ytdl",
    ".tmp",
    ".temp",
)
# Their real spelling, for looking up a single file on a case-sensitive disk.
_SPELT = tuple({".!qb": ".!qB", ".!ut": ".!uT"}.get(suffix, suffix) for suffix in TEMP_SUFFIXES)
_TEMP_PREFIXES = (".syncthing.", "~syncthing~")
# The leading dot covers ._*, .DS_Store, .nfs*, .smbdelete*, .fuse_hidden* and rsync's .NAME.RANDOM.
_JUNK_PREFIXES = (".", "~$", "~syncthing~")
_JUNK_SUFFIXES = ("~", *TEMP_SUFFIXES)
_JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini"})
_CONFLICT = ".sync-conflict-"
_PRUNED_NAMES = frozenset(
    {
        "@eadir",
        "#recycle",
        "#snapshot",
        "@recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__macosx",
    }
)
_PRUNED_PREFIXES = (".", "_unpack_", "_failed_")  # the latter two are SABnzbd's
# "...And So It Goes", "..Hits", ".38 Special": titles, not names that hide something.
_DOTTED_TITLE = re.compile(r"\.(?:\.+.*[^.]|\d)", re.DOTALL)
# Soulseek clients: INCOMPLETE, 32 hex digits (or "~"), the name.
_SOULSEEK = re.compile(r"incomplete(?:[0-9a-f]{32}|~)(.+)", re.DOTALL)
# yt-dlp: NAME.f140.m4a and NAME.temp.mp3 are parts of what becomes one file.
_YT_DLP = re.compile(r"(.+)\.(?:f\d{2,4}|temp)(\.\w+)", re.DOTALL)
# What looks like music to a person, or like a box of it, and may not be among what is taken.
# fmt: off
_LIKE_MUSIC = frozenset({
    "aac", "ac3", "aif", "aifc", "aiff", "alac", "ape", "dff", "dsf", "flac", "m4a", "m4b", "mka",
    "mp2", "mp3", "mpc", "oga", "ogg", "opus", "tta", "wav", "wma", "wv",
    "avi", "mkv", "mov", "mp4", "webm", "wmv", "zip", "rar", "7z", "tar", "gz", "tgz",
})
# fmt: on
# rsync: .NAME.AbC123; Nextcloud: .NAME.~1a2b3c
_RANDOM_TEMP = re.compile(r"\.(.+)\.(?:[a-z0-9]{6}|~[0-9a-f]+)", re.DOTALL)


class Filter:
    """Tells songs from other files by the user's extensions, `ignore` patterns and common junk.

    `extensions` are with or without a dot. `ignore` holds fnmatch patterns, which are matched
    against the name and against the path below the inbox ("/" between its parts). A pattern that
    matches a folder leaves out everything in it.
    """

    def __init__(self, extensions: Iterable[str], ignore: Iterable[str] = ()) -> None:
        wanted = {ext.lower().lstrip(".") for ext in extensions}
        # Extensions that are junk are left out here, so that no name has to be checked for them.
        self.extensions = frozenset(e for e in wanted if not f".{e}".endswith(_JUNK_SUFFIXES))
        self._told_of = _LIKE_MUSIC | self.extensions
        patterns = [fnmatch.translate(pattern.strip().rstrip("/")) for pattern in ignore]
        self._ignore = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    def wanted(self, name: str, relpath: str = "") -> bool:
        """Whether this is the name of a song. It may still be a folder, a symlink or a device."""
        lower = name.lower()
        stem, _, extension = lower.rpartition(".")
        if extension not in self.extensions or not stem:
            return False
        if lower[0] in ".~" and lower.startswith(_JUNK_PREFIXES) and not _is_title(lower):
            return False
        if lower[0] == "i" and _SOULSEEK.fullmatch(lower):
            return False
        if ("." in stem) and _YT_DLP.fullmatch(lower):
            return False
        if _CONFLICT in lower or lower in _JUNK_NAMES:
            return False
        return self._ignore is None or not self.ignores(name, relpath)

    def passes_over(self, name: str, relpath: str) -> str | None:
        """Why this file is not taken, by its name; None: it looks like no music, or is wanted."""
        lower = name.lower()
        extension = lower.rpartition(".")[2]
        if lower.startswith("._") or extension not in self._told_of:
            return None  # "._": what macOS puts beside each file
        if self.ignores(name, relpath):
            return "watch.ignore leaves it alone"
        if extension not in self.extensions:
            return f".{extension} is not among watch.extensions"
        if self.wanted(name, relpath):
            return None
        return "its name is hidden" if lower[0] == "." else "its name is one of unfinished files"

    def prunes(self, name: str, relpath: str = "") -> bool:
        """Whether a scan skips the folder of this name."""
        lower = name.lower()
        return (
            (lower.startswith(_PRUNED_PREFIXES) and not _is_title(lower))
            or lower in _PRUNED_NAMES
            or self._is_bundle(lower)
            or self.ignores(name, relpath)
        )

    def _is_bundle(self, lower: str) -> bool:
        """Whether it is a download as a folder: Safari's `Song.mp3.download`."""
        base = lower.rpartition(".")[0]
        return lower.endswith(TEMP_SUFFIXES) and base.rpartition(".")[2] in self.extensions

    def ignores(self, name: str, relpath: str) -> bool:
        """Whether a pattern of the user's `ignore` matches this file or folder."""
        if self._ignore is None:
            return False
        return bool(self._ignore.match(name) or (relpath and self._ignore.match(relpath)))


def _is_title(lower: str) -> bool:
    """Whether the leading dots belong to a title."""
    return _DOTTED_TITLE.match(lower) is not None and _RANDOM_TEMP.fullmatch(lower) is None


def holds_back(name: str) -> str | None:
    """The final name, in lower case, of the temp file `name`; None: it is not a temp file.

    While `x.wav.part` or rsync's `.x.wav.AbC123` exists, `x.wav` is still being written.
    """
    lower = name.lower()
    if match := _SOULSEEK.fullmatch(lower):
        return match[1]
    if match := _YT_DLP.fullmatch(lower):
        return match[1] + match[2]
    if lower.endswith(TEMP_SUFFIXES):
        base = lower.rpartition(".")[0]
        for prefix in _TEMP_PREFIXES:
            base = base.removeprefix(prefix)
        return base.removeprefix(".") or None
    if lower.startswith(".") and (match := _RANDOM_TEMP.fullmatch(lower)):
        return match[1]
    return None


def temp_siblings(name: str) -> Iterator[str]:
    """The names of temp files whose presence shows that `name` is still being written.

    rsync's random names are left out: rsync replaces a whole file by one rename, so taking the file
    that is there does no harm.
    """
    for suffix in _SPELT:
        yield f"{name}{suffix}"
        yield f".{name}{suffix}"
    for prefix in _TEMP_PREFIXES:
        yield f"{prefix}{name}.tmp"
