"""The separation engines by name, each a function `separate` in a module of its own.

An engine is `separate(source, out_dir, *, stems, format, progress) -> Separation`; it is imported
in the worker processes only. A new one (HTDemucs, say) is one more line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType
from typing import Any

from stemwatch.errors import ConfigFault

ENGINES: Mapping[str, str] = MappingProxyType(
    {"spectral": "stemwatch.server.engines.spectral.separation:separate"}
)


def locate(name: str) -> str:
    """The dotted place, `module:function`, of an engine's name; ConfigFault when unknown.

    A name that is such a place itself is taken as it is: an engine of the user's own.
    """
    if name in ENGINES:
        return ENGINES[name]
    module, _, function = name.partition(":")
    if function.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return name
    near = get_close_matches(name, ENGINES, n=1)
    raise ConfigFault(
        f"There is no separation engine named {name!r}.",
        hint=f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(ENGINES))}.",
    )


def load(place: str) -> Callable[..., Any]:
    """Import the engine's function from `module:function`."""
    module, _, function = place.partition(":")
    engine: Callable[..., Any] = getattr(import_module(module), function)
    return engine
