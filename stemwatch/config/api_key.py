"""The API key: where it is looked for, and the checks that keep it out of logs and other hands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from stemwatch.config.settings import Settings
from stemwatch.errors import ConfigFault
from stemwatch.private_file import read_secret, refuse_public

NAME = "STEMSPLIT_API_KEY"


@dataclass(frozen=True, slots=True)
class Found:
    """The key, and the file that holds it; None: the variable does."""

    key: str = field(repr=False)
    file: str | None = None

    @property
    def place(self) -> str:
        """Where the key is, for people: the file with its mode, or the variable."""
        if self.file is None:
            return f"${NAME}"
        return f"{self.file} (mode {os.stat(self.file).st_mode & 0o7777:04o})"


def load_key(settings: Settings, *, env: Mapping[str, str], cwd: str) -> str | None:
    """The key alone, as `find_key` finds it."""
    found = find_key(settings, env=env, cwd=cwd)
    return None if found is None else found.key


def find_key(settings: Settings, *, env: Mapping[str, str], cwd: str) -> Found | None:
    """The key and its place; None where there is none (or where this machine separates by itself).

    Looked for in `api.key_file`, `$CREDENTIALS_DIRECTORY/api-key` (systemd), `$STEMSPLIT_API_KEY`,
    and a `.env` file in `cwd` or beside the configuration. Raises ConfigFault, which never repeats
    any part of the key.
    """
    if settings.local:
        return None
    if (path := settings.api.key_file) is not None:
        return Found(key_in(path, "api.key_file"), path)
    credentials = env.get("CREDENTIALS_DIRECTORY")
    if credentials:
        path = os.path.join(credentials, "api-key")
        if os.path.lexists(path):
            return Found(_checked(read_secret(path, "", private=False), path), path)
    if env.get(NAME, "").strip():
        return Found(_checked(env[NAME], f"${NAME}"))
    folders = [cwd] + ([os.path.dirname(settings.source)] if settings.source else [])
    for path in dict.fromkeys(os.path.join(folder, ".env") for folder in folders):
        key = _from_dotenv(path)
        if key is not None:
            return Found(_checked(key, f"{NAME} in {path}"), path)
    return None


def key_in(path: str, named: str, what: str = "an API key") -> str:
    """The key in a file that holds nothing else; `what` it is, for people.

    Raises ConfigFault, which begins with `named`.
    """
    return _checked(read_secret(path, f"{named}: "), f"{named}: {path}", what)


def no_key_fault() -> ConfigFault:
    """The fault for somebody who has no key yet, with three ways to go on."""
    return ConfigFault(
        "There is no API key.",
        hint=f"Set ${NAME} or api.key_file to your StemSplit key, or separate on this machine "
        "with --local (preview quality, free), or see it all work first with `stemwatch demo`.",
    )


def _checked(text: str, where: str, what: str = "an API key") -> str:
    """The key without the newline that editors add, or httpx would print it in an exception."""
    key = text.strip()
    if not key:
        raise ConfigFault(f"{where} is empty; it must hold {what}.")
    if not all("!" <= character <= "~" for character in key):
        raise ConfigFault(
            f"{where} does not hold {what}: that is one word of plain ASCII characters.",
            hint="Copy it again, alone on one line.",
        )
    return key


def _from_dotenv(path: str) -> str | None:
    """The key's value in a `.env` file; None where it has no such line (another project's file)."""
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return None
    text = read_secret(path, "", private=False)
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals or name.strip() != NAME:
            continue
        value = value.strip()
        if value[:1] in ("'", '"') and value[1:].find(value[0]) >= 0:
            value = value[1 : 1 + value[1:].index(value[0])]
        else:
            value = value.partition(" #")[0].strip()
        if value:
            refuse_public(path, os.stat(path), "")
            return value
    return None
