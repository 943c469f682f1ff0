"""Estimates minutes and cost before anything is spent: which songs are refused or paid already.

A few files are read at a time, whatever their number. The estimates come in the files' order.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.audio.preparing.plans import Plan, plan, refusal
from stemwatch.audio.results import Probe
from stemwatch.audio.soundhash.sounds import listener_for
from stemwatch.codes import Code
from stemwatch.config import Inbox, Settings
from stemwatch.disks.hashing import sha256
from stemwatch.disks.opening import open_regular
from stemwatch.errors import Reject
from stemwatch.inbox import headers
from stemwatch.inbox.names import Filter
from stemwatch.job import MAY_BE_CHARGED, Options, content_key
from stemwatch.journal.journal import Journal
from stemwatch.limits import Limits
from stemwatch.operations.songs import made_here, songs
from stemwatch.stemsplit.wires import LIMITS

AT_ONCE = 4

REFUSED, FREE, COSTS = "refused", "free", "costs"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate of one file. `verdict` is REFUSED, FREE (nothing to pay) or COSTS.

    `seconds` is the length of its audio, None if it could not be read; `why` is one sentence.
    `upload`: the bytes to be sent, of a FLAC about; `as_flac`: that is made of it before.
    """

    path: str
    seconds: float | None
    verdict: str
    why: str = ""
    upload: int = 0
    as_flac: bool = False


@dataclass(slots=True)
class Totals:
    """The sums over all files, in numbers of files and seconds of audio."""

    files: int = 0
    refused: int = 0
    free: int = 0
    seconds: float = 0.0  # of all files that are not refused
    paid: float = 0.0  # of the files that will be paid for
    upload: int = 0  # bytes of those, about
    as_flac: int = 0  # and how many of them go as FLAC

    def add(self, one: Estimate) -> None:
        self.files += 1
        self.refused += one.verdict == REFUSED
        self.free += one.verdict == FREE
        self.seconds += one.seconds or 0.0 if one.verdict != REFUSED else 0.0
        if one.verdict == COSTS:
            self.paid += one.seconds or 0.0
            self.upload += one.upload
            self.as_flac += one.as_flac


async def estimates(
    settings: Settings,
    journal: Journal,
    audio: AudioHelper,
    paths: Sequence[str],
    chosen: Inbox | None = None,
) -> AsyncIterator[Estimate]:
    """Yield one estimate for each song in `paths`; folders are scanned as an inbox is.

    The options are those of the inbox `chosen`; None: of the inbox that a path lies in.
    """
    waiting: deque[asyncio.Task[tuple[Estimate, str]]] = deque()
    seen: set[str] = set()
    filter = Filter(settings.watch.extensions, settings.watch.ignore)
    try:
        for path, _ in songs(paths, filter, made_here(settings)):
            options = _options(settings, path, chosen)
            waiting.append(
                asyncio.create_task(_look(settings, journal, audio, filter, path, options))
            )
            if len(waiting) >= AT_ONCE:
                yield _once(*await waiting.popleft(), seen)
        while waiting:
            yield _once(*await waiting.popleft(), seen)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _options(settings: Settings, path: str, chosen: Inbox | None) -> Options:
    """The options that the inbox would choose; only a file in an inbox can have a preset."""
    found = settings.inbox_of(path)
    if found is not None and chosen in (None, found[0]):
        inbox, relpath = found
        return inbox.options_for(relpath)
    top = Inbox(separation=settings.separation)
    return (chosen or top).options_for("song")


def _once(one: Estimate, key: str, seen: set[str]) -> Estimate:
    """`one`, made free if the same content came before in this list: it is paid for once."""
    if one.verdict != COSTS:
        return one
    if key in seen:
        return Estimate(one.path, one.seconds, FREE, "the same content is in this list already")
    seen.add(key)
    return one


async def _look(
    settings: Settings,
    journal: Journal,
    audio: AudioHelper,
    filter: Filter,
    path: str,
    options: Options,
) -> tuple[Estimate, str]:
    if not filter.wanted(os.path.basename(path)):
        known = ", ".join(sorted(filter.extensions))
        name = os.path.basename(path)
        dot = ", and begin with no dot" if name.startswith(".") else ""
        why = f"{name} is no song's name: it must end in one of {known}{dot}"
        return Estimate(path, None, REFUSED, why), ""
    limits = LIMITS[settings.wire]
    try:
        size, sha256, sound = await asyncio.to_thread(_measured, path, limits)
        probe = await audio.probe(path)
    except Reject as fault:
        return Estimate(path, None, REFUSED, fault.message), ""
    except OSError as fault:
        return Estimate(path, None, REFUSED, f"can't be read: {fault.strerror}"), ""
    seconds = probe.duration
    if probe.stem_file:
        return Estimate(path, seconds, FREE, "a stem file: its own stems are unpacked"), ""
    form = _form(settings, probe, path, size, limits)
    too_large = refusal(form, probe, size, limits)
    if (refused := too_large or limits.of_audio(seconds)) is not None:
        return Estimate(path, seconds, REFUSED, refused.message), ""
    key = content_key(sound or sha256, options, local=settings.local)
    by_bytes = content_key(sha256, options, local=settings.local)
    earlier = await journal.with_content(key, MAY_BE_CHARGED)
    # An older stemwatch knew its songs by their bytes only.
    if earlier := earlier or await journal.with_content(by_bytes, MAY_BE_CHARGED):
        why = f"known already as {earlier[0].name} ({earlier[0].state})"
        return Estimate(path, seconds, FREE, why), key
    if settings.local:
        return Estimate(path, seconds, FREE, "separated on this machine"), key
    as_flac = form.form != "original"
    return Estimate(path, seconds, COSTS, upload=form.likely, as_flac=as_flac), key


def _form(settings: Settings, sound: Probe, path: str, size: int, limits: Limits) -> Plan:
    keys, near = settings.prepare, settings.local
    upload, low = keys.upload, keys.low_bitrate
    return plan(sound, path, size, limits.largest, upload=upload, low_bitrate=low, near=near)


def _measured(path: str, limits: Limits) -> tuple[int, str, str | None]:
    """The size, the SHA-256 of all bytes, and that of the sound alone.

    Raises Reject for a file that would not be uploaded, OSError.
    """
    fd = open_regular(path)
    try:
        size = os.fstat(fd).st_size
        if size > limits.largest_read and (refused := limits.of_file(size)) is not None:
            raise refused
        lack = headers.look(fd)
        if lack is not None and lack.sure:
            raise Reject(f"incomplete: {lack.message}", code=Code.TRUNCATED)
        listener = listener_for(fd, size)
        return size, sha256(fd, size, also=listener.feed), listener.hexdigest()
    finally:
        os.close(fd)
