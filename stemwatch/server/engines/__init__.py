"""The separation engines by name; a new one is a line in this table and a module beside it.

An engine is `separate(source, out_dir, *, stems, format, progress, **settings) -> Separation`; it
is imported in the worker processes only. Those that need weights get them, with the device, as
`settings`, and have a function `ready(**settings)` beside it: it loads them once, at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType
from typing import Any

from stemwatch.errors import ConfigFault
from stemwatch.job import STEMS

_SPECTRAL = "stemwatch.server.engines.spectral.separation:separate"
_DEMUCS = "stemwatch.server.engines.neural.demucs_engine:separate"
_SPLEETER = "stemwatch.server.engines.neural.spleeter_engine:separate"


@dataclass(frozen=True, slots=True)
class Engine:
    """`place` is its function, `module:function`.

    `models` maps the numbers of stems that it makes to the model for it; the first one is needed,
    others that are missing make the engine refuse their number. Without models it makes all.
    `memory` is what a worker takes, in bytes; `threaded`: whether it takes a number of threads.
    """

    name: str
    place: str
    models: Mapping[int, str] = field(default_factory=dict)
    memory: int = 0
    threaded: bool = True


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        one.name: one
        for one in (
            Engine("spectral", _SPECTRAL, memory=500_000_000),  # six stems as mp3, four threads
            Engine("spleeter", _SPLEETER, dict.fromkeys(STEMS, "spleeter"), 800_000_000),
            Engine(
                "htdemucs",
                _DEMUCS,
                {2: "htdemucs", 4: "htdemucs", 6: "htdemucs_6s"},
                1_100_000_000,
            ),
            Engine("htdemucs_6s", _DEMUCS, dict.fromkeys(STEMS, "htdemucs_6s"), 1_100_000_000),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Placed:
    """An engine as a worker process is told of it: where it is, and what it is given each time."""

    place: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def find(name: str) -> Engine:
    """The engine of that name; ConfigFault when unknown.

    A name that is a place itself, `module:function`, is an engine of the user's own.
    """
    if name in ENGINES:
        return ENGINES[name]
    module, _, function = name.partition(":")
    if function.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return Engine(name, name, threaded=False)
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


def read_through(path: str) -> None:
    """Read a whole file, so that a read that fails is seen: OSError."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass
