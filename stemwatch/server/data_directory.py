"""What is said of a data directory that this account can't use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from stemwatch.errors import ConfigFault
from stemwatch.server.options import Options


@contextlib.contextmanager
def usable(options: Options, *, hint: str | None = None) -> Iterator[None]:
    """A fault of the data directory while this is open becomes a ConfigFault that names it.

    `hint` says what mends it; None: what does for a server.
    """
    try:
        yield
    except OSError as fault:
        raise ConfigFault(
            f"The data directory {options.data_dir!r} can't be used by uid {os.getuid()}: "
            f"{fault.strerror}.",
            hint=hint or _hint(options),
        ) from fault


def _hint(options: Options) -> str:
    # A parent that ends the server with its standard input has chosen the directory: `--data-dir`
    # is no option of `run --local` and `split --local`.
    if options.exit_with_stdin:
        return "Make it writable, or name another state_dir in the configuration."
    return "Give a directory that this user may write with --data-dir."
