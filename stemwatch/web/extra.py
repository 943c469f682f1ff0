"""The optional packages of this room: are they there? Asked without importing them."""

from __future__ import annotations

from importlib.util import find_spec

from stemwatch.errors import ConfigFault

PACKAGES = ("starlette", "uvicorn", "h11", "prometheus_client")


def require_extra() -> None:
    """Raise ConfigFault, naming the command that mends it, when the extra `web` is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigFault(
            f"web.listen needs packages that are not installed: {', '.join(missing)}.",
            hint="Install them with: pip install 'stemwatch[web]'; or set web.listen to null.",
        )
