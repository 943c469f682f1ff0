"""Who calls: one API key for everybody, or a file of keys, each with a name and its own limits.

A line of the file is `NAME SHA256 [credits=SECONDS] [rate=N]`, the hash that of the key in hex.
Blank lines and lines that begin with # say nothing. A key is long and random, so that its plain
hash can't be guessed from; the file holds no key that somebody could use.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from stemwatch.errors import ConfigFault
from stemwatch.server.http.open_door import OpenDoor

_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s+([0-9a-fA-F]{64})((?:\s+\S+=\S+)*)")
MAKE = "`key=$(openssl rand -hex 24); echo $key; printf %s $key | sha256sum`"


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key; `credits` in seconds of audio, `rate` in requests a minute.

    None: the server's own limit.
    """

    name: str
    credits: int | None = None
    rate: int | None = None


ANYBODY = Caller("")


class Callers:
    """Tells callers by their key. `key` None and no file: everybody may call.

    The file is read again when it changes; one that then can't be understood changes nothing,
    and `report` gets a line. `door` stands where everybody may call; `public_url` names it.
    """

    def __init__(
        self,
        key: str | None,
        file: str | None,
        report: Callable[[str], None] = lambda _: None,
        *,
        public_url: str | None = None,
    ) -> None:
        """Raises ConfigFault that names the file and the line."""
        self.door = OpenDoor(public_url) if key is None and file is None else None
        self._single = None if key is None else f"Bearer {key}".encode()
        self._file = file
        self._report = report
        self._stamp: tuple[int, ...] = ()
        self._known: Mapping[bytes, Caller] = {}
        if file is not None:
            self._stamp = _stamp(file)
            self._known = read(file)

    def caller(self, authorization: str) -> Caller | None:
        """Whose key stands in this header; None: nobody's."""
        given = authorization.encode("latin-1", "replace")
        if self._file is not None:
            self._look(self._file)
            digest = sha256(given.removeprefix(b"Bearer ")).digest()
            # A lookup by the hash tells nothing of the key through the time that it takes.
            return self._known.get(digest) if given.startswith(b"Bearer ") else None
        if self._single is None or hmac.compare_digest(given, self._single):
            return ANYBODY
        return None

    def _look(self, file: str) -> None:
        stamp = _stamp(file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._known = read(file)
        except ConfigFault as fault:
            self._report(f"{fault} The keys stay as they were.")


def read(file: str) -> dict[bytes, Caller]:
    """The callers by their key's hash. Raises ConfigFault."""
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            lines = opened.read(1 << 22).splitlines()
    except OSError as fault:
        raise ConfigFault(f"--keys-file: {file}: {fault.strerror}.") from None
    known: dict[bytes, Caller] = {}
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        digest, caller = _parsed(line, f"--keys-file: {file}, line {number}:")
        if digest in known or caller.name in names:
            raise ConfigFault(f"--keys-file: {file}, line {number}: this name or key came before.")
        known[digest] = caller
        names.add(caller.name)
    if not known:
        raise ConfigFault(f"--keys-file: {file} holds no key.", hint=f"Make one: {MAKE}")
    return known


def _parsed(line: str, place: str) -> tuple[bytes, Caller]:
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise ConfigFault(
            f"{place} it is not `NAME SHA256 [credits=SECONDS] [rate=N]`.",
            hint=f"A new key and its hash: {MAKE}",
        )
    limits: dict[str, int] = {}
    for word in found[3].split():
        name, _, value = word.partition("=")
        if name not in ("credits", "rate") or not value.isdecimal() or len(value) > 9:
            raise ConfigFault(f"{place} {word!r} is not credits=SECONDS or rate=N.")
        limits[name] = int(value)
    return bytes.fromhex(found[2]), Caller(found[1], **limits)


def _stamp(file: str) -> tuple[int, ...]:
    """What changes with the file; () where it is not there, which is told once by its reading."""
    try:
        found = os.stat(file)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
