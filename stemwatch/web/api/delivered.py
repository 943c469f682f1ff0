"""Delivered folders, opened below their outbox without following a link, and what is in them."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from stemwatch.codes import Code
from stemwatch.errors import Reject
from stemwatch.job import Job, may_be_paid
from stemwatch.outbox import sidecar
from stemwatch.outbox.naming import SIDECAR_SUFFIX, readable
from stemwatch.outbox.sidecar import ResultFile
from stemwatch.outbox.unread import Unreadable
from stemwatch.web.api.api_faults import Fault

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


@dataclass(frozen=True, slots=True)
class Result:
    """An open folder: `fd`, valid inside `opened`, and what its sidecar says.

    `paid`: its own stems may have cost something.
    """

    fd: int
    paid: bool
    sidecar: dict[str, Any]
    stems: list[ResultFile]

    def stem(self, stem_id: str) -> ResultFile:
        """The stem (or mix) of that id. Raises Fault 404."""
        found = next((one for one in self.stems if one.id == stem_id), None)
        if found is None:
            known = ", ".join(one.id for one in self.stems)
            raise Fault(404, "no_stem", f"This song has no stem {stem_id!r}.", f"It has {known}.")
        return found

    @property
    def stem_file(self) -> str:
        """The name of the one file with all stems. Raises Fault 404."""
        told = self.sidecar.get("stem_file")
        if told is None:
            words = "This song has no stem file."
            raise Fault(404, "no_stem_file", words, "Ask for one by `separation.stem_file`.")
        return str(told["file"])

    def open(self, name: str) -> int:
        """A descriptor of one of its files. Raises Fault 410."""
        try:
            fd = os.open(name, _FILE, dir_fd=self.fd)
        except OSError as fault:
            raise self._gone(f"{name} is no longer in its folder.", name) from fault
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise self._gone(f"{name} is no file any more.", name)
        return fd

    def _gone(self, words: str, name: str) -> Fault:
        made_here = all(one.file != name or one.derived_from for one in self.stems)
        return _gone(words, name, paid=self.paid and not made_here)


@contextmanager
def opened(job: Job) -> Iterator[Result]:
    """The folder of a delivered job. Raises Fault 410 where it is not what was delivered."""
    fd, paid = _open_folder(job), may_be_paid(job)
    name = os.path.basename(job.delivered_to or "") + SIDECAR_SUFFIX
    try:
        # Through the descriptor: a link that takes the folder's name meanwhile changes nothing.
        try:
            path = sidecar.locate(f"/proc/self/fd/{fd}")
            if path is None:
                raise _gone("The song's folder has no sidecar any more.", name, paid=paid)
            found = sidecar.read(path)
        except (Reject, Unreadable) as fault:
            words = "The song's sidecar can't be read any more."
            raise _gone(words, name, paid=paid) from fault
        yield Result(fd, paid, found, sidecar.result_files(found))
    finally:
        os.close(fd)


def _open_folder(job: Job) -> int:
    name = os.path.relpath(job.delivered_to or "/", job.outbox)
    below, paid = name.split("/"), may_be_paid(job)
    if job.delivered_to is None or ".." in below:
        name = os.path.basename(name)
        raise _gone("The song's folder is not in its outbox.", name, paid=paid)
    try:
        fd = os.open(job.outbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in below:
            try:
                inner = os.open(part, _FOLDER, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
    except OSError as fault:
        words = "The song's folder is no longer where it was delivered."
        raise _gone(words, name, paid=paid) from fault
    return fd


def _gone(words: str, name: str, *, paid: bool) -> Fault:
    """`name` is what was moved, renamed or removed."""
    again = "; dropped again, the song is paid for anew." if paid else ", or drop the song again."
    return Fault(410, Code.GONE, words, f"Put it back as {readable(name)}{again}")


def pcm_of(fd: int) -> dict[str, Any] | None:
    """Where the samples of a WAV lie: offset, frames, rate, channels, bits, float; None: no WAV.

    Offsets differ: 88 bytes in what is written here, 44 in others' files.
    """
    with open(os.dup(fd), "rb") as file:
        file.seek(0)
        if file.read(4) not in (b"RIFF", b"RF64") or file.read(8)[4:] != b"WAVE":
            return None
        try:
            return _pcm(file, os.fstat(fd).st_size)
        except (struct.error, ZeroDivisionError):
            return None


def _pcm(file: BinaryIO, size: int) -> dict[str, Any] | None:
    shape: tuple[int, int, int, int, int] | None = None
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        start = file.tell()
        if name == b"fmt ":
            kind, channels, rate, _, align, bits = struct.unpack("<HHIIHH", file.read(16))
            if kind == _EXTENSIBLE:
                file.seek(start + 24)
                (kind,) = struct.unpack("<H", file.read(2))
            shape = kind, channels, rate, align, bits
        elif name == b"data":
            if shape is None or shape[0] not in (_PCM, _FLOAT):
                return None
            kind, channels, rate, align, bits = shape
            frames = min(length, size - start) // align  # RF64 says 2^32-1: as much as is there
            return {
                "offset": start,
                "frames": frames,
                "rate": rate,
                "channels": channels,
                "bits": bits,
                "float": kind == _FLOAT,
            }
        file.seek(start + length + (length & 1))
    return None
