"""The real service, noting what its page asks of a disk on the loop: `... FILE NOTES FOLDER...`.

NOTES gets a line for each call of `os`, made by the event loop's thread, on what is below a FOLDER.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from tests.acceptance import scaled

CALLS = ("close", "fstat", "lstat", "mkdir", "open", "rename", "scandir", "stat", "unlink")
_READLINK = os.readlink


def _place(given: object) -> str:
    """The path behind a descriptor, or behind a path that leads through one."""
    if isinstance(given, int):
        given = f"/proc/self/fd/{given}"
    path = os.fsdecode(given) if isinstance(given, str | bytes | os.PathLike) else ""
    if path.startswith("/proc/self/fd/"):
        number, _, rest = path.removeprefix("/proc/self/fd/").partition("/")
        try:
            path = f"{_READLINK(f'/proc/self/fd/{number}')}/{rest}"
        except OSError:
            return ""
    return path


def _asked_by() -> str:
    """The line of the page that is being answered; "": it is none of the page's."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        path = frame.f_code.co_filename
        if "/stemwatch/web/" in path or "/stemwatch/receiving/" in path:
            return f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _noted(call: Callable[..., Any], notes: str, folders: tuple[str, ...]) -> Callable[..., Any]:
    def noted(*args: Any, **more: Any) -> Any:
        on_loop = threading.current_thread() is threading.main_thread()
        if on_loop and args and _place(args[0]).startswith(folders) and (asked := _asked_by()):
            with _OPEN(notes, "a") as file:
                file.write(f"{call.__name__} {_place(args[0])} {asked}\n")
        return call(*args, **more)

    return noted


_OPEN = builtins.open


if __name__ == "__main__":
    notes, folders = sys.argv[2], tuple(sys.argv[3:])
    for name in CALLS:
        setattr(os, name, _noted(getattr(os, name), notes, folders))
    builtins.open = _noted(builtins.open, notes, folders)
    sys.argv[1:] = ["1", sys.argv[1]]
    sys.exit(scaled.main())
