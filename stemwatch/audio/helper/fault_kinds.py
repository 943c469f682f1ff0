"""What an exception in the helper speaks of: this file, a disk, or this installation.

Helper process only.
"""

from __future__ import annotations

import sys
from typing import Any

from stemwatch.codes import Code
from stemwatch.errors import Reject, StemwatchError

# Also FFmpeg's own (below). What else a library raises for a file's sake is caught beside its call.
_OF_THE_FILE = (MemoryError, EOFError, UnicodeError)


def told(fault: Exception) -> dict[str, Any]:
    """The fault as an answer of the helper: `error` is its kind, to be raised again as one.

    What is no fault of the file for sure, such as a TypeError, is told as `internal`.
    """
    if isinstance(fault, StemwatchError):
        return _answer(type(fault).__name__, fault.code, fault.message, fault.hint)
    if isinstance(fault, OSError):
        return {**_answer("OSError", "os", str(fault.strerror), ""), "errno": fault.errno}
    what = f"{type(fault).__name__}: {fault}"
    if isinstance(fault, _OF_THE_FILE) or _is_ffmpegs(fault):
        hint = "Re-save the song in an audio editor and drop that file."
        return _answer(
            Reject.__name__, Code.DECODER_CRASHED, f"The decoder failed with {what}.", hint
        )
    hint = (
        "Its installation works with other sound: please report this, if you can with the file. "
        "Re-saved in an audio editor it may go through."
    )
    return _answer(Reject.__name__, Code.INTERNAL, f"our own audio code failed with {what}.", hint)


def _answer(kind: str, code: str, message: str, hint: str) -> dict[str, Any]:
    return {"error": kind, "code": code, "message": message, "hint": hint}


def _is_ffmpegs(fault: Exception) -> bool:
    av = sys.modules.get("av")  # one that can't be imported has raised nothing
    return av is not None and isinstance(fault, av.FFmpegError)
