"""The optional packages of this room: are they there? Asked without importing them."""

from __future__ import annotations

from importlib.util import find_spec

from stemwatch.errors import ConfigFault

PACKAGES = ("starlette", "uvicorn", "python_multipart", "scipy")


def require_extra() -> None:
    """Raise ConfigFault, naming the command that mends it, when the extra `local` is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigFault(
            f"Separating on this machine needs packages that are not installed: "
            f"{', '.join(missing)}.",
            hint="Install them with: pip install 'stemwatch[local]'",
        )
