"""Imports a library without the optional packages that it would load if they are installed.

httpx brings a command line of its own and structlog a renderer for consoles. With rich, pygments
and click in the environment (our own commands use them) they cost each start 100 ms and the
service 10 MB, and it never calls them. Both libraries do without where such an import fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def without(*modules: str) -> Iterator[None]:
    """Imports of `modules` fail in here, unless they are loaded already; afterwards they work.

    For the import of one library at the head of a module. Another thread that imports one of
    `modules` meanwhile would fail too: not for use once there are threads.
    """
    absent = [name for name in modules if name not in sys.modules]
    for name in absent:
        # Documented: None in `sys.modules` makes an import of that name raise.
        sys.modules[name] = cast(ModuleType, None)
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)
