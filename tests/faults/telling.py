"""The real command line, telling a test what it must keep to itself, or failing unforeseen.

    python -m tests.faults.telling SECRETS PORT COUNT ARGUMENTS...

The key of a local server that this process starts is written to the file SECRETS. The first COUNT
connections to PORT raise what nobody expects: an exception that holds the key and a signed URL.
ARGUMENTS are those of `stemwatch`; after the word `scaled`, those of `tests.acceptance.scaled`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from stemwatch.cli import main
from stemwatch.server.spawn import LocalServer
from tests.acceptance import scaled

TOKEN = "tok-canary-0a1b2c3d4e5f6789"  # noqa: S105


def _tell(secrets: Path) -> None:
    """A server's key is in the frame that starts its process, and nowhere else for us to see."""

    def hook(event: str, _: tuple[Any, ...]) -> None:
        if event != "subprocess.Popen":
            return
        frame = sys._getframe(1)
        while frame is not None:
            if isinstance(server := frame.f_locals.get("self"), LocalServer):
                secrets.write_text(server.key)
            frame = frame.f_back  # type: ignore[assignment]

    sys.addaudithook(hook)


def _fail(port: int, count: int) -> None:
    left = [None] * count

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and left and arguments[1][1:2] == (port,):
            left.pop()
            key = os.environ.get("STEMSPLIT_API_KEY", "")
            raise RuntimeError(
                f"GET https://storage.example/a.wav?X-Amz-Signature={TOKEN} "
                f"with {{'Authorization': 'Bearer {key}'}}"
            )

    sys.addaudithook(hook)


if __name__ == "__main__":
    _tell(Path(sys.argv[1]))
    _fail(int(sys.argv[2]), int(sys.argv[3]))
    sys.argv = ["stemwatch", *sys.argv[4:]]
    if sys.argv[1] == "scaled":
        del sys.argv[0]
        sys.exit(scaled.main())
    main()
