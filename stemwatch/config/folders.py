"""Checks the folders by writing, renaming and deleting in them, as the account that will run."""

from __future__ import annotations

import errno
import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import suppress

from stemwatch.config.groups.presets import make_folders as make_preset_folders
from stemwatch.config.settings import Settings
from stemwatch.errors import ConfigFault

# A full disk is no fault of the configuration: the service starts, pauses and says so.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
CHECK = ".stemwatch-check-"
_INBOX = "folders.inbox"  # the end of the key of each inbox's watched folder
_TRIES = 10  # checks at the same time may remove each other's files, but not so often in a row


def try_folders(settings: Settings, below: str = "") -> list[str]:
    """Make the folders that are missing; returns one sentence for each that can't be used.

    `below`: only folders whose keys begin with it.
    """
    try:
        make_folders(settings, below=below)
    except ConfigFault as faults:
        return list(faults.faults)
    return folder_faults(settings, below)


def try_folder(name: str, path: str) -> str | None:
    """Make one folder; returns why it can't be used, or None. `name` is how the user gave it."""
    try:
        os.makedirs(path, exist_ok=True)
        problem = _try(path)
    except OSError as error:
        problem = None if error.errno in _FULL else error
    return None if problem is None else _sentence(name, path, _nearest(path), problem)


def folder_faults(settings: Settings, below: str = "") -> list[str]:
    """One sentence for each folder that can't be used; nothing is made and nothing is left behind.

    A folder of ours that is missing is fine when it can be made (`make_folders`). A missing inbox
    is not: it may be a network mount that is away, and must not be made under the mount point.
    """
    faults = []
    for key, path in _used(settings, below):
        if key.endswith(_INBOX) and not os.path.lexists(path):
            command = f"mkdir -p {shlex.quote(path)}"
            away = "unless a disk or share should be mounted there"
            faults.append(f"{key}: {path} does not exist; `{command}` makes it, {away}.")
            continue
        place = _nearest(path)
        problem = _try(place)
        if problem is not None:
            faults.append(_sentence(key, path, place, problem))
    return faults


def make_folders(
    settings: Settings, *, inbox: bool = False, state: bool = True, below: str = ""
) -> None:
    """Make the folders that are missing (with parents); the inbox only where `init` asks for it.

    The folders of presets are made with it: later the service makes them, once its disk is there.

    `state`: also state_dir. It depends on the account, so `init` leaves it to the one that runs.

    Raises ConfigFault naming each that can't be made.
    """
    faults = []
    for key, path in _used(settings, below):
        if (key.endswith(_INBOX) and not inbox) or (key == "state_dir" and not state):
            continue
        try:
            os.makedirs(path, mode=0o700 if key == "state_dir" else 0o777, exist_ok=True)
        except OSError as error:
            if error.errno not in _FULL:
                faults.append(_sentence(key, path, _nearest(path), error))
    for one in settings.every_inbox if inbox and not faults else ():
        try:
            make_preset_folders(one.folders.inbox, one.presets)
        except OSError as error:
            if error.errno not in _FULL:
                path = one.folders.inbox
                faults.append(_sentence(one.key("folders", "inbox"), path, path, error))
    if faults:
        raise ConfigFault(*faults)


def _used(settings: Settings, below: str = "") -> Iterator[tuple[str, str]]:
    """(key, path) of each folder that the service needs, if its key begins with `below`."""
    every = [
        (inbox.key("folders", name), path)
        for inbox in settings.every_inbox
        for name, path in inbox.folders.used()
    ]
    for key, path in (*every, ("state_dir", settings.state_dir)):
        if key.startswith(below):
            yield key, path


def _nearest(path: str) -> str:
    """The path itself, or the nearest folder above it that exists."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def _try(folder: str) -> OSError | None:
    """Write, rename and delete a hidden file: on network mounts permission bits say little."""
    problem: OSError | None = None
    for _ in range(_TRIES):
        try:
            _write_rename_delete(folder)
            return None
        except FileNotFoundError as error:
            problem = error  # another check may have removed our file as a leftover
        except OSError as error:
            return None if error.errno in _FULL else error
    return problem


def _write_rename_delete(folder: str) -> None:
    """Write, rename and delete one file; raises OSError, and leaves nothing behind either way."""
    name = os.path.join(folder, f"{CHECK}{secrets.token_hex(6)}")
    second = f"{name}-renamed"
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, b"stemwatch")
        finally:
            os.close(descriptor)
        os.rename(name, second)
        _remove_left(folder, second)
        os.unlink(second)
    finally:
        for left in (name, second):
            with suppress(OSError):
                os.unlink(left)


def _remove_left(folder: str, mine: str) -> None:
    """Delete the files that killed checks left. Listing the folder is part of the check too.

    On a share, nobody can know whether a file's check still runs. A running one makes it again.
    """
    for entry in os.listdir(folder):
        path = os.path.join(folder, entry)
        if entry.startswith(CHECK) and path != mine:
            with suppress(OSError):
                os.unlink(path)


def _sentence(key: str, path: str, place: str, error: OSError) -> str:
    who = f"uid {os.geteuid()}, gid {os.getegid()}"
    why = os.strerror(error.errno or 0)
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{key}: {path} can't be a folder: {place} is not one ({why})."
    if place != path:
        return f"{key}: {path} does not exist and {who} can't make it in {place}: {why}."
    return f"{key}: {path} can't be written, renamed in and deleted from by {who}: {why}."
