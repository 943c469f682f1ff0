"""Staging: the hidden folder in the outbox in which the result of one job is made.

It is on the outbox's own file system, so that one rename publishes the result.

outbox/.stemwatch/<token>/vocals.wav.part     being written
outbox/.stemwatch/<token>/vocals.wav          whole, verified, flushed: kept after a crash
outbox/.stemwatch/<token>/all.alac.m4a        the stem file, where one is asked for
outbox/.stemwatch/<token>/song/               the folder as it will be published, with its sidecar
outbox/.stemwatch/<token>/beside              path of the second staging, if there is one
<destination>/.stemwatch-beside/<token>/song/ the second staging, where the destination is a mount
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from stemwatch.audio.results import Measures
from stemwatch.codes import Code
from stemwatch.disks import durable, opening
from stemwatch.errors import PauseService
from stemwatch.job import STEMS
from stemwatch.outbox import naming, sidecar, waveform_file
from stemwatch.outbox.measuring import measure
from stemwatch.outbox.naming import StemNames
from stemwatch.outbox.sidecar import ResultFile
from stemwatch.outbox.staged_stem_file import StagedStemFile

HIDDEN = ".stemwatch"
BESIDE = ".stemwatch-beside"  # not HIDDEN, which may be a mount of its own as well
_TOKEN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
_USUAL = StemNames()
_KNOWN = tuple(dict.fromkeys((*STEMS[2], *STEMS[6])))
Describe = Callable[[Sequence[ResultFile]], dict[str, Any]]


def require(outbox: str) -> None:
    """Raise PauseService(code="disk") if it is certain that no results can be made in `outbox`.

    A file, or another account's folder, may have the hidden folder's name. Call it before a song is
    paid for, since its stems could not be fetched then.
    """
    durable.require_root(outbox)
    hidden = os.path.join(outbox, HIDDEN)
    if not os.path.lexists(hidden) or (
        os.path.isdir(hidden) and os.access(hidden, os.R_OK | os.W_OK | os.X_OK)
    ):
        return
    what = "can't be written" if os.path.isdir(hidden) else "is no folder"
    raise PauseService(
        f"{hidden} {what}: results are made there.",
        code=Code.DISK,
        hint=f"Move it away, or give uid {os.geteuid()} write permission there; "
        "work goes on by itself.",
    )


class Staging:
    """One job's hidden folder; for one thread at a time.

    `token` names the separation, not only the song (such as "17-job_a8f2c1"): `recover` takes up
    stems that were committed under it before a crash, and stems of two separations must not be
    mixed. Its methods raise PauseService(code="disk") where the outbox can't be written.
    """

    def __init__(self, outbox: str, token: str, ext: str) -> None:
        if not _TOKEN.fullmatch(token):
            raise ValueError(f"not a token: {token!r}")
        self.outbox = outbox
        self.token = token
        self.ext = ext
        self.path = os.path.join(outbox, HIDDEN, token)
        self.folder = os.path.join(self.path, "song")
        self._places: dict[str, str] = {}  # id -> where its file is now
        self._stems: dict[str, ResultFile] = {}
        self.stem_file = StagedStemFile(self.path, outbox)
        require(outbox)
        with durable.disk_faults(outbox):
            _remove_beside(self.path)
            if os.path.lexists(self.folder):  # half-made before a crash
                shutil.rmtree(self.folder)
            # Not flushed: what a power cut loses is fetched again.
            durable.make_dirs(self.path, root=outbox, flush=False)
            # Not written into again: a killed run's helper goes on with it for some seconds.
            for name in os.listdir(self.path):
                if name.endswith(".part"):
                    os.unlink(os.path.join(self.path, name))

    @property
    def stems(self) -> list[ResultFile]:
        """The committed files: the API's stems in its order, then mixes in the order of commits."""
        order = {stem_id: n for n, stem_id in enumerate(_KNOWN)}
        return sorted(self._stems.values(), key=lambda stem: order.get(stem.id, len(order)))

    def part(self, stem_id: str) -> str:
        """The path at which to write this stem before it is committed."""
        return self._place(stem_id) + ".part"

    def commit_part(
        self,
        stem_id: str,
        *,
        derived_from: Sequence[str] | None = None,
        gain_db: float | None = None,
    ) -> ResultFile:
        """Flush, hash and keep the part, which is whole and verified."""
        part = self.part(stem_id)
        with durable.disk_faults(self.outbox):
            durable.fsync_path(part)
            os.replace(part, self._place(stem_id))
        return self._note(stem_id, derived_from, gain_db)

    def recover(self, stem_id: str) -> ResultFile | None:
        """The stem, if it was committed under this token before a crash or a retry; or None."""
        if not os.path.isfile(self._place(stem_id)):
            return None
        return self._note(stem_id)

    def file_of(self, stem_id: str) -> str:
        """Path of a committed stem, for making mixes. Raises KeyError if it is not committed."""
        return self._places[stem_id]

    def keep_measures(self, stem_id: str, measures: Measures) -> None:
        """Note what a committed file measures. Raises KeyError if it is not committed."""
        self._stems[stem_id] = replace(self._stems[stem_id], measures=measures)

    def arrange(self, song: str, describe: Describe, by: StemNames = _USUAL) -> None:
        """Prepare `folder` for publishing as `song`: rename the files after it, write the sidecar.

        It may be called again with another name if `song` was taken. Nothing is copied.
        """
        limit = durable.name_max(self.folder if os.path.isdir(self.folder) else self.path)
        files = naming.names_of_stems(song, list(self._stems), self.ext, by=by, limit=limit)
        with durable.disk_faults(self.outbox):
            # The sidecar's write flushes it later.
            durable.make_dirs(self.folder, root=self.outbox, flush=False)
            earlier = sidecar.locate(self.folder)
            if earlier is not None:
                os.unlink(earlier)
            for stem_id, file in zip(list(self._stems), files, strict=True):
                target = os.path.join(self.folder, file)
                os.rename(self._places[stem_id], target)
                self._places[stem_id] = target
                self._stems[stem_id] = replace(self._stems[stem_id], file=file)
            self.stem_file.arrange(self.folder, song)
            waveform_file.write(self.folder, self.stems)
            # The sidecar comes last: its write flushes the folder's entries as well.
            path = os.path.join(self.folder, naming.sidecar_file(song))
            sidecar.write(path, describe(self.stems))

    def take_back(self) -> None:
        """Undo `arrange` as far as the disk lets, so that whole stems need not be fetched again."""
        self.folder = os.path.join(self.path, "song")
        self.stem_file.take_back(self.folder)
        for stem_id, stem in self._stems.items():
            with contextlib.suppress(OSError):
                os.rename(os.path.join(self.folder, stem.file), self._place(stem_id))
                self._places[stem_id] = self._place(stem_id)

    def move_beside(self, parent: str) -> None:
        """Copy the arranged folder to its destination's mount, so that one rename can publish it.

        The note is written first: after a crash, `clean` finds the copy by it.
        """
        hidden = os.path.join(parent, BESIDE, self.token)
        with durable.disk_faults(parent):
            note = os.path.join(self.path, "beside")
            durable.write_file(note, os.fsencode(hidden), replace=True)
            shutil.rmtree(hidden, ignore_errors=True)
            target = os.path.join(hidden, "song")
            durable.make_dirs(target, root=parent)
            for name in sorted(os.listdir(self.folder)):
                copy = os.path.join(target, name)
                shutil.copyfile(os.path.join(self.folder, name), copy)
                durable.fsync_path(copy)
            durable.fsync_path(target)
        for stem_id, stem in self._stems.items():
            self._places[stem_id] = os.path.join(target, stem.file)
        self.stem_file.moved(target)
        self.folder = target

    def discard(self) -> None:
        """Remove all staged files and start empty."""
        self._places.clear()
        self._stems.clear()
        self.stem_file.forget()
        with durable.disk_faults(self.outbox):
            shutil.rmtree(self.path)
            durable.make_dirs(self.path, root=self.outbox, flush=False)

    def remove(self) -> None:
        """Remove the staging; after `publish` it is only an empty hidden folder."""
        remove_staging(self.path)

    def _place(self, stem_id: str) -> str:
        # A mix's name is any text of the user, so only its hash goes into a path.
        known = stem_id in _KNOWN
        name = (
            stem_id
            if known
            else "mix-" + hashlib.sha256(stem_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        )
        return os.path.join(self.path, f"{name}.{self.ext}")

    def _note(
        self,
        stem_id: str,
        derived_from: Sequence[str] | None = None,
        gain_db: float | None = None,
    ) -> ResultFile:
        place = self._place(stem_id)
        with durable.disk_faults(self.outbox):
            found = measure(place)
        sources = None if derived_from is None else tuple(derived_from)
        name = os.path.basename(place)
        stem = ResultFile(
            stem_id, name, found.sha256, found.bytes, sources, gain_db, found.audio_sha256
        )
        self._places[stem_id] = place
        self._stems[stem_id] = stem
        return stem


def drop(part: str) -> None:
    """Remove a part that could not be finished, whose space other files may need."""
    with contextlib.suppress(OSError):
        os.unlink(part)


def clean(outbox: str, tokens: Sequence[str]) -> None:
    """Remove these stagings; what does not have the name of one stays."""
    with durable.disk_faults(outbox):
        for token in tokens:
            if _TOKEN.fullmatch(token):
                remove_staging(os.path.join(outbox, HIDDEN, token))


def remove_staging(path: str) -> None:
    """Remove the staging at `path` and the one beside its destination, if it has one."""
    _remove_beside(path)
    shutil.rmtree(path, ignore_errors=True)


def _remove_beside(path: str) -> None:
    note = os.path.join(path, "beside")
    try:
        with open(opening.open_regular(note), "rb") as file:
            beside = os.fsdecode(file.read(4096))
    except OSError:
        return
    # Whatever the note says, only a hidden staging of the same token is removed.
    hidden = os.path.dirname(beside)
    if os.path.isabs(beside) and beside.endswith(f"/{BESIDE}/{os.path.basename(path)}"):
        shutil.rmtree(beside, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(hidden)  # fails if another job uses it
    with contextlib.suppress(OSError):
        os.unlink(note)
