"""Files that were created in the inbox, and that their creator has not closed yet, by inotify.

It is asked only where a lease can't tell: the file of another account, such as Samba's.
"""

from __future__ import annotations

_MOST = 4096  # names; the oldest are forgotten


class Created:
    """One thread adds and takes out, any may look.

    Inotify tells the number of a folder's watch, and that of no path. So a file also seems to be
    open while one of the same name in another folder is: it is taken a little later for that.
    """

    def __init__(self) -> None:
        self._open: dict[str, frozenset[int]] = {}  # by name: the watches of its folders

    def __contains__(self, name: object) -> bool:
        return name in self._open

    def begun(self, watch: int, name: str) -> None:
        """The file was created, most likely by an `open` that goes on."""
        if len(self._open) >= _MOST:
            self._open.pop(next(iter(self._open)), None)
        self._open[name] = self._open.get(name, frozenset()) | {watch}

    def ended(self, watch: int, name: str) -> None:
        """It was closed, or is another one: something was moved there or away."""
        left = self._open.pop(name, frozenset()) - {watch}
        if left:
            self._open[name] = left

    def unwatched(self, watch: int) -> None:
        """The folder was moved away or deleted: nothing that happens there is told any more."""
        for name, watches in list(self._open.items()):
            if watch in watches:
                self.ended(watch, name)

    def clear(self) -> None:
        """Events were lost: what they would have said of any file is not known."""
        self._open.clear()
