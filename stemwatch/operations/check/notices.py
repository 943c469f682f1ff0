"""`check`, notices and hooks: the addresses' form, a test message, the commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping

from stemwatch.config import Settings
from stemwatch.errors import ConfigFault
from stemwatch.extras import NOTIFY
from stemwatch.notices.addresses import addresses
from stemwatch.notices.sender import SENT, Message, send
from stemwatch.operations.check.account import Account
from stemwatch.operations.check.finding import FAULT, OK, WARNING, Finding
from stemwatch.private_file import closing

SECONDS = 60.0
_TITLE = "stemwatch: a test"
_BODY = "This is what `stemwatch check --notify` sends. Notices reach you here."
_MEND = "Its form is at https://github.com/caronc/apprise/wiki; or take it out."


async def notices(
    settings: Settings, env: Mapping[str, str], reader: Account | None = None, *, test: bool
) -> list[Finding]:
    """Findings about `notify` and `hooks`; empty if neither is used. `test` sends a message.

    `reader` is the service's account; None: the one that looks.
    """
    return [*await _addresses(settings, env, reader, test=test), *_hooks(settings, env)]


async def _addresses(
    settings: Settings, env: Mapping[str, str], reader: Account | None, *, test: bool
) -> list[Finding]:
    try:
        urls = addresses(settings)
        if not urls:
            return [Finding(WARNING, "notify: nobody is told; there is no URL")] if test else []
        NOTIFY.require()
    except ConfigFault as fault:
        return [Finding(FAULT, " ".join(fault.faults), fault.hint)]
    messages = [Message(url, _TITLE, _BODY if test else None) for url in urls.values()]
    outcomes = await send(messages, env=env, seconds=SECONDS)
    found = [*_open_file(settings, reader)]
    for name, outcome in zip(urls, outcomes, strict=True):
        if outcome.kind != SENT:
            found.append(Finding(FAULT, f"{name}: {outcome.why}", _MEND))
        elif test:
            found.append(Finding(OK, f"{name}: took a test message"))
    if not any(finding.level == FAULT for finding in found):
        told = ", ".join(settings.notify.events) or "nothing"
        found.append(Finding(OK, f"notify: {', '.join(urls)}; told of: {told}"))
    return found


def _open_file(settings: Settings, reader: Account | None) -> Iterator[Finding]:
    """A warning if the file with the URLs, which hold passwords, can be read by every account."""
    source = settings.source
    if not settings.notify.urls or source is None:
        return
    status = os.stat(source)
    if status.st_mode & 0o004:
        yield Finding(
            WARNING,
            f"notify.urls: {source} can be read by every account, and such URLs hold passwords",
            f"{closing(source, status.st_uid, reader)}, or notify.urls_file with the URLs in a "
            "file of its own.",
        )


def _hooks(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    faults = []
    for event, (program, *_) in settings.hooks.items():
        if shutil.which(program, path=env.get("PATH")) is not None:
            continue
        if "/" not in program:
            why, hint = "is not in $PATH", "Give its whole path."
        elif os.path.isfile(program):
            why = f"can't be executed by uid {os.geteuid()}"
            hint = f"`chmod +x {program}` mends it."
        else:
            why, hint = "does not exist", "Give the whole path of a program."
        faults.append(Finding(FAULT, f"hooks.{event}: {program} {why}", hint))
    yield from faults
    if settings.hooks and not faults:
        yield Finding(OK, f"hooks: {', '.join(settings.hooks)}; their programs can be executed")
