"""The folder of models: where it is, what lies in it, and what to say when one is missing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from stemwatch.errors import ConfigFault
from stemwatch.models import catalogue, heads

VARIABLE = "STEMWATCH_MODELS"
SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class Installed:
    """One that is here. `sha256` is that of the file it was made from; `official`: as pinned."""

    name: str
    path: str
    sha256: str
    official: bool


def folder_of(given: str | None, env: Mapping[str, str]) -> str:
    """`--model-dir`, else $STEMWATCH_MODELS, else `$XDG_DATA_HOME/stemwatch/models`.

    ConfigFault where this account has no home folder.
    """
    named = given or env.get(VARIABLE)
    if named:
        return os.path.abspath(os.path.expanduser(named))
    data = env.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):  # relative ones are to be ignored, the specification says
        home = env.get("HOME", "")
        if not os.path.isabs(home):
            raise ConfigFault("This account has no home folder.", hint="Give --model-dir.")
        data = os.path.join(home, ".local", "share")
    return os.path.join(data, "stemwatch", "models")


def path_of(folder: str, name: str) -> str:
    return os.path.join(folder, name + SUFFIX)


def look(folder: str, name: str) -> Installed | None:
    """The model in `folder`, or None. ConfigFault where it is damaged or can't be read."""
    path = path_of(folder, name)
    try:
        head = heads.read_head(path)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise ConfigFault(f"{path} can't be read: {fault.strerror}.") from None
    sha256 = head.notes.get("sha256", "")
    pinned = catalogue.MODELS[name].sha256
    return Installed(name, path, sha256, sha256 == pinned)


def require(folder: str, name: str) -> Installed:
    """The model in `folder`; ConfigFault with both commands that bring it."""
    found = look(folder, name)
    if found is None:
        where = "" if folder == _usual() else f" --model-dir {folder}"
        raise ConfigFault(
            f"The model {name!r} is not in {folder}.",
            hint=f"Bring it with `stemwatch models fetch {name}{where}`, or, from a file that you "
            f"have, with `stemwatch models import FILE{where}`.",
        )
    return found


def _usual() -> str | None:
    try:
        return folder_of(None, os.environ)
    except ConfigFault:
        return None
