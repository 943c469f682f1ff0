"""`check`, the account: root may read and write everything, and so finds nothing amiss."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Set

from stemwatch.config import Settings
from stemwatch.journal.schema import JOURNAL
from stemwatch.operations.check.asked_folders import Asked
from stemwatch.operations.check.finding import WARNING, Finding

Account = tuple[int, int]  # uid and gid


async def of_service(settings: Settings, asked: Asked, doubtful: Set[str]) -> Account | None:
    """The owner of the state folder, as which the service runs; else the first inbox's; or None.

    Root without the service's environment has a state folder of its own, which no service uses.
    Folders of the sections in `doubtful` are not asked.
    """
    found = None
    if "state_dir" not in doubtful:
        found = (await asked.each(_of_state, settings.state_dir)).get(settings.state_dir)
    if found is None and not doubtful & {"folders", "inboxes"}:
        inbox = settings.every_inbox[0].folders.inbox
        found = (await asked.each(_owner, inbox)).get(inbox)
    return found


def looked_as(uid: int, owner: Account | None) -> Iterator[Finding]:
    """A warning if `uid` is root and the service is another account's."""
    if uid == 0 and owner is not None and owner[0] != 0:
        yield Finding(
            WARNING,
            "account: nothing is closed to root; whether the service's own account, "
            f"{_name(owner[0])}, may do the same was not tried",
            "Run it as that account, the owner of state_dir or the inbox, as docs/systemd.md does "
            "(in a container: `docker exec -u`).",
        )


def _of_state(path: str) -> Account | None:
    """The owner; None also for a folder of root's in which no service of root's has a journal."""
    owner = _owner(path)
    if owner is not None and owner[0] == 0 and not os.path.exists(os.path.join(path, JOURNAL)):
        return None
    return owner


def _owner(path: str) -> Account | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_uid, status.st_gid


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
