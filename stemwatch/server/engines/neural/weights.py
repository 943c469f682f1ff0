"""A network's weights by name, each taken once: one that a graph leaves over is a graph too few."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stemwatch.errors import ConfigFault
from stemwatch.server.engines.spectral.stft import Array


class Weights:
    """Float32, whatever the file holds; `model` is what faults call it."""

    def __init__(self, tensors: Mapping[str, Array], model: str) -> None:
        self._tensors = tensors
        self._model = model
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, *shape: int) -> Array:
        """The tensor, in `shape` where one is given. ConfigFault when missing or of another size.

        Shapes come from the settings, so that a file whose two halves disagree is found out here.
        """
        try:
            self._taken.add(name)
            array = np.asarray(self._tensors[name], np.float32)
            return array.reshape(shape) if shape else array
        except (KeyError, ValueError):
            raise self.unfit(f"{name} is missing or of another size") from None

    def require_all_taken(self) -> None:
        if left := sorted(set(self._tensors) - self._taken):
            raise self.unfit(f"{left[0]} has no place in it")

    def unfit(self, why: str) -> ConfigFault:
        return ConfigFault(
            f"The weights of {self._model} don't fit the network that stemwatch builds: {why}.",
            hint=f"Bring the published ones: `stemwatch models fetch {self._model}`.",
        )
