"""`check`, the account: root may read and write everything, and so finds nothing amiss."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator

from stemwatch.config import Settings
from stemwatch.operations.check.asked_folders import Asked
from stemwatch.operations.check.finding import WARNING, Finding

Account = tuple[int, int]  # uid and gid


async def of_service(settings: Settings, asked: Asked) -> Account | None:
    """The owner of the state folder, as which the service runs; None: there is no such folder."""
    return (await asked.each(_owner, settings.state_dir)).get(settings.state_dir)


def looked_as(uid: int, owner: Account | None) -> Iterator[Finding]:
    """A warning if `uid` is root and the service is another account's."""
    if uid == 0 and owner is not None and owner[0] != 0:
        yield Finding(
            WARNING,
            "account: nothing is closed to root; whether the service's own account, "
            f"{_name(owner[0])}, may do the same was not tried",
            "Run it as that account, the owner of state_dir, as docs/systemd.md does (in a "
            "container: `docker exec -u`).",
        )


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
