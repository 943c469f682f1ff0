"""The API key: where it is looked for, and the checks that keep it out of logs and other hands."""

from __future__ import annotations

import codecs
import os
import shlex
import stat
from collections.abc import Mapping

from stemwatch.config.settings import Settings
from stemwatch.errors import ConfigFault

NAME = "STEMSPLIT_API_KEY"
_MAX_BYTES = 64 * 1024


def load_key(settings: Settings, *, env: Mapping[str, str], cwd: str) -> str | None:
    """The key, or None where there is none (or where this machine separates by itself).

    Looked for in `api.key_file`, `$CREDENTIALS_DIRECTORY/api-key` (systemd), `$STEMSPLIT_API_KEY`,
    and a `.env` file in `cwd` or beside the configuration. Raises ConfigFault, which never repeats
    any part of the key.
    """
    if settings.local:
        return None
    if settings.api.key_file is not None:
        path = settings.api.key_file
        return _checked(read_secret(path, "api.key_file: "), path)
    credentials = env.get("CREDENTIALS_DIRECTORY")
    if credentials:
        path = os.path.join(credentials, "api-key")
        if os.path.lexists(path):
            return _checked(read_secret(path, "", private=False), path)
    if env.get(NAME, "").strip():
        return _checked(env[NAME], f"${NAME}")
    folders = [cwd] + ([os.path.dirname(settings.source)] if settings.source else [])
    for path in dict.fromkeys(os.path.join(folder, ".env") for folder in folders):
        found = _from_dotenv(path)
        if found is not None:
            return _checked(found, f"{NAME} in {path}")
    return None


def no_key_fault() -> ConfigFault:
    """The fault for somebody who has no key yet, with three ways to go on."""
    return ConfigFault(
        "There is no API key.",
        hint=f"Set ${NAME} or api.key_file to your StemSplit key, or separate on this machine "
        "with --local (preview quality, free), or see it all work first with `stemwatch demo`.",
    )


def _checked(text: str, where: str) -> str:
    """The key without the newline that editors add, or httpx would print it in an exception."""
    key = text.strip()
    if not key:
        raise ConfigFault(f"{where} is empty; it must hold the API key.")
    if not all("!" <= character <= "~" for character in key):
        raise ConfigFault(
            f"{where} does not hold an API key: a key is one word of plain ASCII characters.",
            hint="Copy the key again, alone on one line.",
        )
    return key


def read_secret(path: str, named: str, *, private: bool = True) -> str:
    """The text of a secret file; ConfigFault if it can't be read, or if others can.

    `named` comes first in the message: the key that names the file.
    """
    try:
        # A FIFO in this place would block the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigFault(f"{named}{path} is not a regular file.")
            if private:
                _refuse_public(path, mode, named)
            raw = os.read(descriptor, _MAX_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        who = f"uid {os.geteuid()}, gid {os.getegid()}"
        raise ConfigFault(f"{named}{path} can't be read by {who}: {error.strerror}.") from None
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigFault(
            f"{named}{path} is written in UTF-16.",
            hint="Save it again as UTF-8: in Notepad by `Save as`, Encoding.",
        )
    return raw.decode("utf-8-sig", "replace")  # Notepad puts a mark before the first word


def _refuse_public(path: str, mode: int, named: str) -> None:
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigFault(
            f"{named}{path} can be read or written by every account of this machine "
            f"(mode {stat.S_IMODE(mode):04o}).",
            hint=f"`chmod 600 {shlex.quote(path)}` mends it.",
        )


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
            _refuse_public(path, os.stat(path).st_mode, "")
            return value
    return None
