"""The commented configuration that `stemwatch init` writes."""

from __future__ import annotations

import os
import re

from stemwatch.errors import ConfigFault


def example_text() -> str:
    """The example; its values are the defaults (a test compares them)."""
    from importlib import resources  # only where an example is asked for

    return resources.files("stemwatch").joinpath("config.example.yaml").read_text("utf-8")


def write_example(path: str, folders: str | None = None) -> None:
    """Write the example to `path`, making its folder. Raises ConfigFault if `path` exists.

    The folders in it are put below `folders`; None leaves them as they are.
    """
    text = example_text() if folders is None else _below(os.path.abspath(folders), example_text())
    try:
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.lexists(folder):
            os.makedirs(folder)
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigFault(
            f"{path} exists already and is left as it is.",
            hint="Name another file: `stemwatch init PATH`.",
        ) from None
    except OSError as error:
        raise ConfigFault(f"{path} can't be written: {error.strerror}.") from None


def _below(parent: str, text: str) -> str:
    def moved(match: re.Match[str]) -> str:
        path = os.path.join(parent, match["name"])
        plain = re.fullmatch(r"[\w./-]+", path, re.ASCII)
        return match["key"] + (path if plain else "'" + path.replace("'", "''") + "'")  # YAML's way

    # Only values: the comments tell of the defaults, which stay what they are.
    return re.sub(r"(?m)^(?P<key> *\w+: )~/stemwatch/(?P<name>\w+)$", moved, text)
