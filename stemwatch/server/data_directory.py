"""What is said of a data directory that this account can't use."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator

from stemwatch.errors import ConfigFault
from stemwatch.server.options import Options


@contextlib.contextmanager
def usable(options: Options, *, hint: str | None = None) -> Iterator[None]:
    """A fault of the data directory while this is open becomes a ConfigFault that names it, and
    the file in it that is at fault.

    `hint` says what mends it; None: what does for a server.
    """
    try:
        yield
    except OSError as fault:
        inside = _inside(options.data_dir, fault.filename)
        if inside and isinstance(fault, PermissionError):
            owned = f"chown -R {os.getuid()} {shlex.quote(options.data_dir)}"
            hint = f"Give all of it to the account that runs this: `{owned}`."
        raise ConfigFault(
            f"The data directory {options.data_dir!r} can't be used by uid {os.getuid()}: "
            f"{inside}{fault.strerror}.",
            hint=hint or _hint(options),
        ) from fault


def _inside(data_dir: str, at_fault: object) -> str:
    """`at_fault` for a sentence, where it is not the directory itself."""
    if not isinstance(at_fault, str) or os.path.abspath(at_fault) == os.path.abspath(data_dir):
        return ""
    return f"{at_fault}: "


def _hint(options: Options) -> str:
    # A parent that ends the server with its standard input has chosen the directory: `--data-dir`
    # is no option of `run --local` and `split --local`.
    if options.exit_with_stdin:
        return "Make it writable, or name another state_dir in the configuration."
    return "Give a directory that this user may write with --data-dir."
