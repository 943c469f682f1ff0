"""Files that hold a secret: read with the checks that keep it in its owner's hands.

Imports nothing heavy: a worker reads its queue's URL by it, and has no configuration.
"""

from __future__ import annotations

import codecs
import errno
import grp
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
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ConfigFault(f"{named}{path} is not a regular file.")
            if private:
                refuse_public(path, status, named)
            raw = os.read(descriptor, _MAX_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        who = f"uid {os.geteuid()}, gid {os.getegid()}"
        raise ConfigFault(
            f"{named}{path} can't be read by {who}: {error.strerror}.",
            hint=opening(path) if error.errno == errno.EACCES else "",
        ) from None
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigFault(
            f"{named}{path} is written in UTF-16.",
            hint="Save it again as UTF-8: in Notepad by `Save as`, Encoding.",
        )
    return raw.decode("utf-8-sig", "replace")  # Notepad puts a mark before the first word


def refuse_public(path: str, status: os.stat_result, named: str) -> None:
    """Raise ConfigFault for a file of this status that every account may read or write."""
    if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigFault(
            f"{named}{path} can be read or written by every account of this machine "
            f"(mode {stat.S_IMODE(status.st_mode):04o}).",
            hint=f"{closing(path, status.st_uid)} mends it.",
        )


def closing(path: str, owner: int, reader: tuple[int, int] | None = None) -> str:
    """What keeps all other accounts off a file of the uid `owner`, and still lets `reader` in.

    `reader` is a uid and its gid, None: this account. A file in /etc is often root's: with mode 600
    a service of another account could not start any more, so it reads that file as its group.
    """
    uid, gid = reader or (os.geteuid(), os.getegid())
    if uid == 0:
        other = "or, for a service of another account, `chgrp` to its group and `chmod 640`"
        return f"`chmod 600 {shlex.quote(path)}` ({other})"
    return f"`chmod 600 {shlex.quote(path)}`" if uid == owner else f"`{_for_group(path, gid)}`"


def opening(path: str) -> str:
    """The hint for a file that is closed to this account.

    Never to take it from the group that may read it: that is the service's, as a rule.
    """
    account = "run this as the account that it is for, such as the service's (`sudo -u ACCOUNT`)"
    try:
        status = os.stat(path)
    except OSError:
        return f"A folder above it is closed to this account: {account}."
    taken = status.st_mode & stat.S_IRGRP and status.st_gid != 0  # root's group is nobody's choice
    if taken and status.st_gid not in (os.getegid(), *os.getgroups()):
        return f"Its group, {_group(status.st_gid)}, may read it: {account}."
    return (
        f"`{_for_group(path, os.getegid())}`, as root, lets this account's group read it. The "
        "folders above it must be open to that group, too."
    )


def _for_group(path: str, gid: int) -> str:
    return f"chgrp {_group(gid)} {shlex.quote(path)} && chmod 640 {shlex.quote(path)}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
