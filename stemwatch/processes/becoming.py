"""A script, run by `apart.start` alone: leaves the session and becomes the program.

Before that it lets go of what it inherited. It imports nothing but what takes no time.
"""

from __future__ import annotations

import os
import signal
import sys

_NO_PROGRAM = 127  # as of a shell
_MOST_FILES = 65_536


def become(folder: str, command: list[str]) -> None:
    os.setsid()
    if folder:
        os.chdir(folder)
    # What a library of ours, or our own parent, left open for all that follows. Bounded: a kernel
    # before 5.9 is asked for each number, and in a container there may be a billion of them.
    os.closerange(3, min(os.sysconf("SC_OPEN_MAX"), _MOST_FILES))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # this Python ignores them
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as fault:
        print(f"{command[0]} can't be started: {fault.strerror}", file=sys.stderr)
        sys.exit(_NO_PROGRAM)


if __name__ == "__main__":
    become(sys.argv[1], sys.argv[2:])
