"""`Unreadable`: a delivered result is there but can't be read; it is waited for, not paid anew."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from stemwatch.codes import Code
from stemwatch.disks import durable
from stemwatch.errors import RetryLater


class Unreadable(RetryLater):
    """A delivered folder, or a file in it, can't be read, although its disk answers.

    Somebody may have made it their own (mode 0700), or a link that leads nowhere. Only the song
    that needs it waits.
    """

    def __init__(self, path: str, fault: OSError) -> None:
        super().__init__(
            f"{path} can't be read: {fault.strerror}.",
            code=Code.OUTBOX_BLOCKED,
            hint=f"Let uid {os.geteuid()} read it: stems that are paid for may be there. Moved out "
            "of the outbox, they are separated, and paid for, anew.",
            counts=False,
        )
        self.refused = isinstance(fault, PermissionError)  # until its owner lets us read it


@contextlib.contextmanager
def unreadable(path: str) -> Iterator[None]:
    """Turn an OSError of `path` into Unreadable, or PauseService(code="disk") if its disk is away.

    FileNotFoundError and NotADirectoryError pass: nothing is there.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as fault:
        if fault.errno not in durable.UNREACHABLE:
            raise Unreadable(path, fault) from fault
        with durable.disk_faults(path):
            raise
