"""The optional package of this room: is it there? Asked without importing it."""

from __future__ import annotations

from importlib.util import find_spec

from stemwatch.errors import ConfigFault

PACKAGES = ("apprise",)


def require_extra() -> None:
    """Raise ConfigFault, naming the command that mends it, when the extra `notify` is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigFault(
            f"notify needs packages that are not installed: {', '.join(missing)}.",
            hint="Install them with: pip install 'stemwatch[notify]'; or set notify.urls to [].",
        )
