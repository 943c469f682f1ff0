"""What a running server separates with: engine, models, device, seats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from stemwatch.models.folder import Installed
from stemwatch.server.engines import Engine, Placed


class Menu(Protocol):
    """What a server takes jobs for."""

    def refusal(self, stems: int) -> str | None:
        """Why so many stems can't be made here, for the client; None where they can."""
        ...

    def made_by(self, stems: int) -> dict[str, Any]:
        """The fields of a job that say what makes it."""
        ...


@dataclass(frozen=True, slots=True)
class Offer:
    """`models` are those that are here, by number of stems; `device` None: the engine knows none.

    `seats` is how many songs at once, each on `threads` cores. `extras` are pyproject.toml's, for
    the sentence that says how to mend the engine.
    """

    engine: Engine
    placed: Placed
    seats: int
    models: Mapping[int, Installed] = field(default_factory=dict)
    device: str | None = None
    threads: int = 1
    extras: tuple[str, ...] = ("local",)

    def refusal(self, stems: int) -> str | None:
        """Why so many stems can't be made here, for the client; None where they can."""
        if not self.engine.models or stems in self.models:
            return None
        makes = " or ".join(map(str, self.models))
        sentence = f"The engine {self.engine.name!r} of this server makes {makes} stems"
        missing = self.engine.models.get(stems)
        if missing is None:
            return f"{sentence}, not {stems}. Ask for those, or use a server with another engine."
        return f"{sentence}; `stemwatch models fetch {missing}` on it, and a restart, add {stems}."

    def made_by(self, stems: int) -> dict[str, Any]:
        """The fields of a job that say what makes it."""
        model = self.models.get(stems)
        return {
            "engine": self.engine.name,
            "model": None if model is None else model.name,
            "model_sha256": None if model is None else model.sha256,
            "device": self.device,
        }

    def told(self) -> dict[str, Any]:
        """For `/v1/health`."""
        models = {one.name: one.sha256 for one in self.models.values()}
        return {
            "engine": self.engine.name,
            "stems": list(self.models) or [2, 4, 6],
            "models": models,
            "device": self.device,
            "jobs": self.seats,
            "threads": self.threads,
        }

    def line(self) -> str:
        """For the line that a server prints once it listens."""
        told = f"engine {self.engine.name} jobs {self.seats}"
        return (
            told if self.device is None else f"{told} device {self.device} threads {self.threads}"
        )
