"""Starts a program apart from us: in a session of its own and without our descriptors.

While a share hangs, the close of a file on it hangs too. A new process closes what it inherits, and
until then `subprocess` holds the thread that starts it, which is the loop's. `posix_spawn` returns
before the kernel closes what is to be closed at an exec, as all of Python's files are. It is used
only where no session, no folder and no close by hand is asked for, so `becoming` does these, in the
new process; and not with musl, where a start waits for the share as before.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from typing import Any

# -I -S: neither the user's variables nor packages are read for the script. It takes 10 ms.
_OURS = (sys.executable, "-I", "-S", os.path.join(os.path.dirname(__file__), "becoming.py"))


async def start(command: Sequence[str], *, folder: str = "", **given: Any) -> Process:
    """Start `command` in `folder`, or in ours; `given` as `asyncio.create_subprocess_exec` takes
    it. Returns at once; a program may begin only when a share that hangs answers again.

    Until it begins it has no process group of its own, a kill may have to wait like itself, and so
    may whoever reads its `/proc/PID/stat`. Raises OSError where no process is to be had. A program
    that can't be executed ends with 127, and says why on its standard error.
    """
    return await asyncio.create_subprocess_exec(*_OURS, folder, *command, close_fds=False, **given)
