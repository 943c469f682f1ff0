"""Programs that run while they are asked."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping

PATIENCE = 120.0  # seconds for a folder to be taken in


@contextlib.contextmanager
def running(
    *command: str, env: Mapping[str, str] | None = None, says: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """It is asked to end, and then made to. `says`: its standard output is a pipe, to be read."""
    out = subprocess.PIPE if says else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, text=True, env=env)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:  # such as one that waits for an answer in a window
            process.kill()
            process.communicate()
