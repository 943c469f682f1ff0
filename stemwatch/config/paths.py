"""Makes the paths of the settings absolute (`~`, relative to the file); finds the state folder."""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from stemwatch.config.document import Fault
from stemwatch.config.settings import Folders, Settings, Web
from stemwatch.config.web import FOR_EVERYBODY

PATIENCE = 5.0  # seconds for the disks of all folders together
_FOLDERS = ("inbox", "outbox", "quarantine", "archive")


def home_of(env: Mapping[str, str]) -> str | None:
    """The home folder; None where the account has none (as under some service managers)."""
    if env.get("HOME"):
        return env["HOME"]
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None


def absolute(path: str, *, base: str, env: Mapping[str, str]) -> str | None:
    """`path` made absolute: `~` expanded, else relative to `base`; None: there is no such home."""
    if path == "~" or path.startswith("~/"):
        home = home_of(env)
        if home is None:
            return None
        path = home + path[1:]
    elif path.startswith("~"):
        path = os.path.expanduser(path)
        if path.startswith("~"):
            return None
    return os.path.normpath(os.path.join(base, path))


def state_dir(env: Mapping[str, str]) -> str:
    """Where the journal and the lock are kept when the configuration doesn't say."""
    given = env.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return given
    xdg = env.get("XDG_STATE_HOME", "")
    return os.path.join(xdg if os.path.isabs(xdg) else "~/.local/state", "stemwatch")


def resolve(settings: Settings, *, env: Mapping[str, str]) -> tuple[Settings, list[Fault]]:
    """Return the settings with absolute paths, and the faults of paths without a home.

    Runs after validation: a home or a configuration folder may have a name that is not UTF-8.
    """
    base = os.path.dirname(settings.source) if settings.source else os.getcwd()
    paths = _Paths(base, env)
    inboxes = {
        name: replace(inbox, folders=paths.folders(("inboxes", name), inbox.folders))
        for name, inbox in settings.inboxes.items()
    }
    api, notify = settings.api, settings.notify
    made = replace(
        settings,
        inboxes=inboxes,
        api=replace(api, key_file=paths.file(("api", "key_file"), api.key_file)),
        notify=replace(notify, urls_file=paths.file(("notify", "urls_file"), notify.urls_file)),
        web=paths.web(settings.web),
        hooks={event: paths.hook(event, command) for event, command in settings.hooks.items()},
        state_dir=paths.full(("state_dir",), settings.state_dir or state_dir(env)),
        # Beside `inboxes` the top level's folders are unused: no home for them is no fault then.
        folders=settings.folders if inboxes else paths.folders((), settings.folders),
    )
    return made, paths.faults


def real(paths: Iterable[str], seconds: float) -> dict[str, str]:
    """Each path with its symbolic links followed, but for those whose disk hangs for `seconds`.

    A call into a share whose server is gone can't be interrupted, so each has a thread of its own
    that nobody waits for any longer.
    """
    found: dict[str, str] = {}

    def look(path: str) -> None:
        found[path] = os.path.realpath(path)

    looks = [threading.Thread(target=look, args=(one,), daemon=True) for one in set(paths)]
    end = time.monotonic() + seconds
    for each in looks:
        each.start()
    for each in looks:
        each.join(max(0.0, end - time.monotonic()))
    return found.copy()  # the late ones still come in


class _Paths:
    """Makes paths absolute, and gathers the faults of those that have no home."""

    def __init__(self, base: str, env: Mapping[str, str]) -> None:
        self._base, self._env = base, env
        self.faults: list[Fault] = []

    def full(self, key: tuple[str, ...], path: str) -> str:
        found = absolute(path, base=self._base, env=self._env)
        if found is None:
            told = f"{path}: there is no such home folder; give an absolute path"
            self.faults.append(Fault(key, told))
        return found or path

    def file(self, key: tuple[str, ...], path: str | None) -> str | None:
        return None if path is None else self.full(key, path)

    def folders(self, at: tuple[str, ...], folders: Folders) -> Folders:
        paths = {n: self.full((*at, "folders", n), getattr(folders, n)) for n in _FOLDERS}
        given: dict[str, Any] = paths  # mypy would have them fit every key of a Folders
        return replace(folders, **given)

    def web(self, web: Web) -> Web:
        secret = self.file(("web", "webhook_secret_file"), web.webhook_secret_file)
        password = web.password_file
        if password != FOR_EVERYBODY:
            password = self.file(("web", "password_file"), password)
        return replace(web, webhook_secret_file=secret, password_file=password)

    def hook(self, event: str, command: tuple[str, ...]) -> tuple[str, ...]:
        program, *arguments = command
        if "/" in program or program.startswith("~"):  # a bare name is looked for in $PATH
            program = self.full(("hooks", event), program)
        return program, *arguments
