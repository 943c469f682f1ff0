"""Presigned uploads: issues signed URLs, receives files there, and deletes what nobody used.

A ticket is its signature: nothing else is kept of it, so it survives a restart. A file that was
sent lies in `uploads/<id>/<name>` until a job is made of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from stemwatch.receiving.refusal import Refused
from stemwatch.receiving.streaming import to_disk
from stemwatch.server.http.signing import Signer
from stemwatch.server.work.record import input_name

UNUSED = 3600.0  # seconds that an upload waits for its job
_KEY = re.compile(r"uploads/(up_[0-9a-f]{24})/(input(?:\.[a-z0-9]{1,8})?)")


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to upload one file. `path`: the URL's path and query; `expires` in Unix seconds."""

    key: str
    path: str
    expires: int


class Tickets:
    """Issues tickets and keeps uploads in `folder`, made if missing; `now` gives Unix seconds."""

    def __init__(self, folder: str, signer: Signer, *, now: Callable[[], float]) -> None:
        self._folder = folder
        self._signer = signer
        self._now = now
        os.makedirs(folder, exist_ok=True)

    def issue(self, filename: str, content_type: str) -> Ticket:
        """A ticket for one file of this type."""
        upload, name = f"up_{secrets.token_hex(12)}", input_name(filename)
        signed = self._signer.mint(upload, name, content_type)
        return Ticket(f"uploads/{upload}/{name}", signed.path, signed.expires)

    def check(self, upload: str, name: str, query: Mapping[str, str], content_type: str) -> None:
        """Refused with 403 when this URL is not ours, has expired, or was for another type."""
        fault = self._signer.fault(upload, name, query, content_type)
        if fault is not None:
            raise Refused(403, f"{fault} The Content-Type must be the ticket's.", code="FORBIDDEN")

    async def receive(self, upload: str, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Keep the file, whole or not at all. Only for a URL that passed `check`."""
        folder = os.path.join(self._folder, upload)
        part = os.path.join(folder, f"part-{secrets.token_hex(4)}")
        try:
            await asyncio.to_thread(os.makedirs, folder, exist_ok=True)
            await to_disk(chunks, part)
            await asyncio.to_thread(os.replace, part, os.path.join(folder, name))
        finally:
            await asyncio.to_thread(_forget, part)

    def find(self, key: str) -> str:
        """The path of the file that was sent under this key; refused where there is none (now).

        It blocks. OSError where the folder of all uploads is not there.
        """
        parts = _KEY.fullmatch(key)
        path = os.path.join(self._folder, *parts.groups()) if parts else ""
        if not os.path.isfile(path):
            os.stat(self._folder)
            raise gone()
        return path

    def was_sent(self, key: str) -> bool:
        """Whether a file came under this key lately, even if somebody has taken it by now.

        It blocks.
        """
        parts = _KEY.fullmatch(key)
        return parts is not None and os.path.isdir(os.path.join(self._folder, parts[1]))

    def remove_old(self) -> None:
        """Delete uploads that waited too long for their job, and parts that a kill left."""
        for entry in os.scandir(self._folder):
            files = [entry.path, *(os.path.join(entry.path, name) for name in _names(entry.path))]
            if self._now() - max(map(_changed, files)) > UNUSED:
                shutil.rmtree(entry.path, ignore_errors=True)


def gone() -> Refused:
    return Refused(
        400,
        "Nothing was uploaded under this uploadKey, or it was used already.",
        code="UPLOAD_NOT_FOUND",
    )


def _forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0
