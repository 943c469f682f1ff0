"""The stem file of a result, all stems in one `<Song>.stem.m4a`: staged, and in the sidecar.

It is no stem: it is made from them, and can be made again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from stemwatch.disks import durable
from stemwatch.outbox.measuring import measure
from stemwatch.outbox.naming import STEM_FILE_SUFFIX


@dataclass(frozen=True, slots=True)
class SongStemFile:
    """What the sidecar says of the stem file, key by key."""

    file: str  # name inside the song's folder
    sha256: str
    bytes: int
    codec: str  # alac | aac


def of_sidecar(sidecar: Mapping[str, Any]) -> SongStemFile | None:
    """The `stem_file` of a sidecar that `sidecar.read` returned; None: it names none."""
    told = sidecar.get("stem_file")
    if told is None:
        return None
    return SongStemFile(told["file"], told["sha256"], told["bytes"], told["codec"])


class StagedStemFile:
    """The stem file in the staging at `path`; for one thread at a time.

    Its methods raise PauseService(code="disk") where the outbox can't be written.
    """

    def __init__(self, path: str, outbox: str) -> None:
        self._path, self._outbox = path, outbox
        self._found: SongStemFile | None = None
        self._at = ""  # where it is now

    def told(self) -> dict[str, Any] | None:
        """Its entry in the sidecar; None: there is none."""
        return None if self._found is None else asdict(self._found)

    def part(self, codec: str) -> str:
        """The path at which to write it before it is committed."""
        return self._place(codec) + ".part"

    def commit(self, codec: str) -> None:
        """Flush, hash and keep the part, which is whole."""
        with durable.disk_faults(self._outbox):
            durable.fsync_path(self.part(codec))
            os.replace(self.part(codec), self._place(codec))
        self._note(codec)

    def recover(self, codec: str) -> bool:
        """Whether it was committed before a crash, in this codec; it is then kept."""
        if self._found is None and os.path.isfile(self._place(codec)):
            self._note(codec)
        return self._found is not None

    def arrange(self, folder: str, song: str) -> None:
        """Move it into `folder`, under the song's name; again if that was taken. Raises OSError."""
        if self._found is not None:
            self._found = replace(self._found, file=song + STEM_FILE_SUFFIX)
            target = os.path.join(folder, self._found.file)
            os.rename(self._at, target)
            self._at = target

    def take_back(self, folder: str) -> None:
        """Undo `arrange`, as far as the disk lets: it is in `folder`."""
        if self._found is not None:
            with contextlib.suppress(OSError):
                os.rename(os.path.join(folder, self._found.file), self._place(self._found.codec))
                self._at = self._place(self._found.codec)

    def moved(self, folder: str) -> None:
        """It was copied into `folder`, with all that is beside it."""
        if self._found is not None:
            self._at = os.path.join(folder, self._found.file)

    def forget(self) -> None:
        """The staging is emptied."""
        self._found, self._at = None, ""

    def _place(self, codec: str) -> str:
        return os.path.join(self._path, f"all.{codec}.m4a")

    def _note(self, codec: str) -> None:
        place = self._place(codec)
        with durable.disk_faults(self._outbox):
            found = measure(place)
        self._found = SongStemFile(os.path.basename(place), found.sha256, found.bytes, codec)
        self._at = place
