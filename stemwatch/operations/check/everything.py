"""Runs every check of `stemwatch check`: folders, audio, key, API, clock, disks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set

from stemwatch.audio.helper.client import AudioHelper
from stemwatch.config import Settings
from stemwatch.disks.hanging import PATIENCE
from stemwatch.errors import JournalFault, PauseService, StemwatchError
from stemwatch.extras import installed
from stemwatch.journal.read_only import ReadOnlyJournal
from stemwatch.journal.schema import JOURNAL
from stemwatch.operations.check import account, asked_folders
from stemwatch.operations.check.api import reach
from stemwatch.operations.check.finding import FAULT, OK, WARNING, Finding
from stemwatch.operations.check.notices import notices
from stemwatch.operations.status import is_running
from stemwatch.operations.words import counted
from stemwatch.web.listening import looked_at

_PLACES = frozenset({"folders", "inboxes", "state_dir"})  # sections that say where folders are


async def check(
    settings: Settings,
    env: Mapping[str, str],
    cwd: str,
    *,
    notify: bool = False,
    doubtful: Set[str] = frozenset(),
    patience: float = PATIENCE,
) -> list[Finding]:
    """Check everything that `run` needs, without changing or spending anything.

    `notify` sends a test message to all configured addresses. Checks that depend on a section in
    `doubtful`, whose configuration is faulty, are left out: a key must not be sent to a wrong
    address, and a default folder is not the user's. A folder whose disk gives no answer within
    `patience` seconds is told first, and the others are checked all the same.
    """
    places, asked = _PLACES & doubtful, asked_folders.Asked(settings, patience)
    if places:
        found = [_left_out("folders, watching, room", places)]
    else:
        found = await asked_folders.usable(settings, asked)
    owner = await account.of_service(settings, asked, doubtful)
    found = [*account.looked_as(os.geteuid(), owner), *found, await _audio()]
    found.append(upload_finding(settings))
    if "api" in doubtful and not settings.local:
        found.append(_left_out("key, API", {"api"}))
    else:
        found += await reach(settings, env, cwd)
    if places:
        found.append(await asked_folders.clock(asked))
    else:
        outboxes = (inbox.folders.outbox for inbox in settings.every_inbox)
        found.append(await asked_folders.clock(asked, settings.state_dir, *outboxes))
        found += await asked_folders.watching(settings, asked)
        found += await asked_folders.room(settings, asked)
    if told := {"notify", "hooks"} & doubtful:
        found.append(_left_out("notify, hooks", told))
    else:
        found += await notices(settings, env, owner, test=notify)
    if "state_dir" not in doubtful and await asked.each(os.path.exists, settings.state_dir):
        found.append(await _journal(settings))
        found += _service(settings, web="web" not in doubtful)
    return [*asked.hung(), *found]


def _left_out(what: str, sections: Set[str]) -> Finding:
    mend = f"Mend {' and '.join(sorted(sections))} first."
    return Finding(WARNING, f"{what}: not looked at, as the configuration doesn't say where", mend)


async def _audio() -> Finding:
    audio = AudioHelper()
    try:
        await audio.test()
    except PauseService as fault:
        return Finding(FAULT, f"audio: {fault.message}", fault.hint)
    finally:
        await audio.close()
    return Finding(
        OK, f"audio: WAV, FLAC and MP3 were written and read ({installed('av', 'mutagen')})"
    )


def upload_finding(settings: Settings) -> Finding:
    """In which form songs are sent."""
    if settings.local or settings.prepare.upload == "original":
        why = "they stay on this machine" if settings.local else "prepare.upload: original"
        others = "AIFF, Opus and other kinds that the API does not take go as FLAC"
        return Finding(OK, f"prepare: songs are sent as they are ({why}); {others}")
    low = ""
    if settings.prepare.low_bitrate == "flac":
        low = "; so are MP3s below 192 kbit/s, from 1 MB on"
    return Finding(OK, f"prepare: lossless songs are sent as FLAC (prepare.upload: auto){low}")


async def _journal(settings: Settings) -> Finding:
    path = os.path.join(settings.state_dir, JOURNAL)
    if not os.path.exists(path):
        return Finding(OK, f"journal: none yet; it will be {path}")
    try:
        journal = ReadOnlyJournal(path)
        try:
            await journal.check()
            jobs = sum((await journal.counts()).values())
        finally:
            journal.close()
    except JournalFault as fault:
        return Finding(FAULT, f"journal: {fault.message}", fault.hint)
    return Finding(OK, f"journal: readable and whole, {counted(jobs, 'song')}")


def _service(settings: Settings, *, web: bool) -> Iterator[Finding]:
    try:
        running = is_running(settings.state_dir)
        yield Finding(OK, "service: running" if running else "service: not running")
        if web and (told := looked_at(settings.web, running=running)) is not None:
            yield Finding(OK, told)
    except StemwatchError as fault:
        yield Finding(FAULT, fault.message, fault.hint)
