"""Optional packages: whether they are installed, without importing them, and what installs them."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

from stemwatch.errors import ConfigFault


@dataclass(frozen=True)
class Extra:
    """One extra of pyproject.toml: what `wants` it, its packages, and how to do `without`."""

    name: str
    wants: str
    packages: tuple[str, ...]
    without: str = ""

    def require(self) -> None:
        """Raise ConfigFault that names the installing command if a package is missing."""
        if missing := self._missing():
            raise ConfigFault(
                f"{self.wants} needs packages that are not installed: {', '.join(missing)}.",
                hint=f"Install them with: {self.command()}{self.without}",
            )

    def is_there(self) -> bool:
        return not self._missing()

    def command(self) -> str:
        """What a person types to install it."""
        return _install(self.name)

    def _missing(self) -> list[str]:
        return [name for name in self.packages if find_spec(name) is None]


def source(*extras: str) -> str | None:
    """What pip installs to get this stemwatch with `extras`: its checkout or wheel.

    None: that is not known, or no longer there.
    """
    path = _origin()
    return f"{path}[{','.join(extras)}]" if path is not None else None


def reinstall(*extras: str) -> str:
    """A shell command that reinstalls all libraries, in versions that fit this stemwatch."""
    path = _origin()
    what = ("." if path is None else path) + (f"[{','.join(extras)}]" if extras else "")
    place = " (in the checkout)" if path is None else ""
    return f"{_pip()} --upgrade --force-reinstall {shlex.quote(what)}{place}"


def installed(*packages: str) -> str:
    """These packages with their versions, such as `av 18.1.0, numpy 2.4.6`."""
    from importlib import metadata

    told = []
    for package in packages:
        try:
            told.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            told.append(f"no {package}")
    return ", ".join(told)


def _pip() -> str:
    """The install command of the running environment's own pip."""
    return f"{shlex.quote(sys.executable)} -m pip install"


def _install(extra: str) -> str:
    pip = _pip()
    known = source(extra)
    return (
        f"{pip} '.[{extra}]' (in the checkout)" if known is None else f"{pip} {shlex.quote(known)}"
    )


def _origin() -> str | None:
    from importlib import metadata  # imported here, since it takes 20 ms

    try:
        found = metadata.distribution("stemwatch").read_text("direct_url.json")
        url = urlsplit(str(json.loads(found or "{}").get("url", "")))
    except (metadata.PackageNotFoundError, ValueError):
        url = urlsplit("")
    if url.scheme == "file" and os.path.exists(path := unquote(url.path)):
        return path
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return checkout if os.path.isfile(os.path.join(checkout, "pyproject.toml")) else None


LOCAL = Extra(
    "local",
    "Separating on this machine",
    ("starlette", "uvicorn", "h11", "python_multipart", "scipy"),
)
CLUSTER = Extra("cluster", "A cluster", ("procrastinate", "psycopg", "psycopg_pool"))
NEURAL = Extra("neural", "A neural engine", ("openvino",))
NEURAL_CUDA = Extra("neural-cuda", "A neural engine on a GPU", ("onnxruntime",))
WEB = Extra(
    "web",
    "web.listen",
    ("starlette", "uvicorn", "h11", "prometheus_client", "python_multipart"),
    "; or set web.listen to null.",
)
NOTIFY = Extra("notify", "notify", ("apprise",), "; or set notify.urls to [].")
