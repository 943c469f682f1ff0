"""The local server's folder: the service's own, or one of those of `split`, which may be several.

What a `split` was separating when it was interrupted lies there, and the next one goes on with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator

from stemwatch.disks.lock import InstanceLock, of_owner, owners
from stemwatch.errors import AlreadyRunning

_NAME = re.compile(r"local-split(-[0-9]+)?")


@contextlib.contextmanager
def server_folder(state_dir: str, owner: str | None) -> Iterator[str]:
    """The folder's path, for `owner` alone while this is open (None: the service)."""
    if owner is None:
        yield os.path.join(state_dir, "local")
        return
    os.makedirs(owners(state_dir), mode=0o700, exist_ok=True)
    name, held = _first_free(state_dir)
    path = os.path.join(state_dir, name)
    try:
        for other in sorted(os.listdir(state_dir)):
            if _NAME.fullmatch(other) and other != name:
                _gather(state_dir, other, path)
        yield path
    finally:
        held.release()


def _first_free(state_dir: str) -> tuple[str, InstanceLock]:
    number = 1
    while True:
        name = "local-split" if number == 1 else f"local-split-{number}"
        if (held := _taken(state_dir, name)) is not None:
            return name, held
        number += 1


def _taken(state_dir: str, name: str) -> InstanceLock | None:
    """Its lock lies elsewhere: the one inside is the server's, which outlasts a kill a little."""
    try:
        return InstanceLock(of_owner(state_dir, name))
    except AlreadyRunning:
        return None


def _gather(state_dir: str, name: str, into: str) -> None:
    """Move the jobs of a folder that nobody has: the next `split` would not look there."""
    if (held := _taken(state_dir, name)) is None:
        return
    jobs, folder = os.path.join(into, "jobs"), os.path.join(state_dir, name)
    try:
        os.makedirs(into, mode=0o700, exist_ok=True)
        os.makedirs(jobs, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # its server never came so far
            for job in os.listdir(os.path.join(folder, "jobs")):
                os.rename(os.path.join(folder, "jobs", job), os.path.join(jobs, job))
        shutil.rmtree(folder)
    except OSError:
        pass  # the rest stays, for the next one to try
    finally:
        held.release()
