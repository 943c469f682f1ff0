"""The optional packages: are they there? Asked without importing them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from stemwatch.errors import ConfigFault


@dataclass(frozen=True)
class Extra:
    """One of pyproject.toml's: what `wants` it, its packages, and how to do without."""

    name: str
    wants: str
    packages: tuple[str, ...]
    without: str = ""

    def require(self) -> None:
        """Raise ConfigFault, naming the command that mends it, when a package is missing."""
        missing = [name for name in self.packages if find_spec(name) is None]
        if missing:
            raise ConfigFault(
                f"{self.wants} needs packages that are not installed: {', '.join(missing)}.",
                hint=f"Install them with: pip install 'stemwatch[{self.name}]'{self.without}",
            )


LOCAL = Extra(
    "local",
    "Separating on this machine",
    ("starlette", "uvicorn", "python_multipart", "scipy"),
)
WEB = Extra(
    "web",
    "web.listen",
    ("starlette", "uvicorn", "h11", "prometheus_client"),
    "; or set web.listen to null.",
)
NOTIFY = Extra("notify", "notify", ("apprise",), "; or set notify.urls to [].")
