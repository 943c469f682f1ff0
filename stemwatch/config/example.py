"""The commented configuration that `stemwatch init` writes."""

from __future__ import annotations

import os

from stemwatch.errors import ConfigFault


def example_text() -> str:
    """The example; its values are the defaults (a test compares them)."""
    from importlib import resources  # only where an example is asked for

    return resources.files("stemwatch").joinpath("config.example.yaml").read_text("utf-8")


def write_example(path: str) -> None:
    """Write the example to `path`, making its folder. Raises ConfigFault if `path` exists."""
    text = example_text()
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
