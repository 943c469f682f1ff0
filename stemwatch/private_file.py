"""Files that hold a secret: read with the checks that keep it in its owner's hands.

Imports nothing heavy: a worker reads its queue's URL by it, and has no configuration.
"""

from __future__ import annotations

import codecs
import os
import shlex
import stat

from stemwatch.errors import ConfigFault

_MAX_BYTES = 64 * 1024


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
                refuse_public(path, mode, named)
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


def refuse_public(path: str, mode: int, named: str) -> None:
    """Raise ConfigFault for a file of this mode that every account may read or write."""
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigFault(
            f"{named}{path} can be read or written by every account of this machine "
            f"(mode {stat.S_IMODE(mode):04o}).",
            hint=f"`chmod 600 {shlex.quote(path)}` mends it.",
        )
