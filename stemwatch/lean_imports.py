"""Imports a library without the optional packages that it would load if they are installed.

httpx has a command line and structlog a renderer for consoles. If rich, pygments and click are
installed, as our own commands need them, importing both libraries costs each start 100 ms and the
service 10 MB, and the service never uses them. If these imports fail, both libraries do without.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Make imports of `modules` fail in this block, unless they are loaded already.

    It is meant for importing one library at the head of a module. Don't use it once there are
    threads: another thread's import of one of `modules` would fail as well.
    """
    absent = [name for name in modules if name not in sys.modules]
    for name in absent:
        # Python's documentation: None in `sys.modules` makes an import of that name raise.
        sys.modules[name] = cast(ModuleType, None)
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
