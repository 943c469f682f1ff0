"""Makes the paths of the settings absolute (`~`, relative to the file); finds the state folder."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from stemwatch.config.document import Fault
from stemwatch.config.settings import Folders, Settings
from stemwatch.config.web import FOR_EVERYBODY

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
    faults: list[Fault] = []

    def full(key: tuple[str, ...], path: str) -> str:
        found = absolute(path, base=base, env=env)
        if found is None:
            faults.append(
                Fault(key, f"{path}: there is no such home folder; give an absolute path")
            )
        return found or path

    def whole(at: tuple[str, ...], folders: Folders) -> Folders:
        paths = {n: full((*at, "folders", n), getattr(folders, n)) for n in _FOLDERS}
        given: dict[str, Any] = paths  # mypy would have them fit every key of a Folders
        return replace(folders, **given)

    inboxes = {
        name: replace(inbox, folders=whole(("inboxes", name), inbox.folders))
        for name, inbox in settings.inboxes.items()
    }
    key_file = settings.api.key_file
    if key_file is not None:
        key_file = full(("api", "key_file"), key_file)
    urls_file = settings.notify.urls_file
    if urls_file is not None:
        urls_file = full(("notify", "urls_file"), urls_file)
    web = settings.web
    secret_file, password_file = web.webhook_secret_file, web.password_file
    if secret_file is not None:
        secret_file = full(("web", "webhook_secret_file"), secret_file)
    if password_file not in (None, FOR_EVERYBODY):
        password_file = full(("web", "password_file"), password_file)
    web = replace(web, webhook_secret_file=secret_file, password_file=password_file)
    hooks = {}
    for event, (program, *arguments) in settings.hooks.items():
        if "/" in program or program.startswith("~"):  # a bare name is looked for in $PATH
            program = full(("hooks", event), program)
        hooks[event] = (program, *arguments)
    state = full(("state_dir",), settings.state_dir or state_dir(env))
    return replace(
        settings,
        # Beside `inboxes` the top level's folders are unused: no home for them is no fault then.
        folders=settings.folders if inboxes else whole((), settings.folders),
        inboxes=inboxes,
        api=replace(settings.api, key_file=key_file),
        web=web,
        notify=replace(settings.notify, urls_file=urls_file),
        hooks=hooks,
        state_dir=state,
    ), faults
