"""What can't be tidied, told once for as long as it stays so."""

from __future__ import annotations

from stemwatch.errors import StemwatchError
from stemwatch.log import log


class Held:
    """The folders that a round of tidying could not do; the others are done all the same."""

    def __init__(self) -> None:
        self._now: set[str] = set()
        self._before: set[str] = set()

    def begin(self) -> None:
        """A round begins: it will tell anew of what is not mended."""
        self._before, self._now = self._now, set()

    def tell(self, folder: str, fault: StemwatchError) -> None:
        """Log the fault once a folder: it is met again every ten minutes, by each of its files."""
        if folder not in self._before | self._now:
            log.warning("upkeep.held_folder", path=folder, message=fault.message, hint=fault.hint)
        self._now.add(folder)
