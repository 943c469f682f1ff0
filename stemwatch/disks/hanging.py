"""Bounded waits for disks that may never answer, such as a hanging network mount.

A call into such a mount can't be interrupted, so it gets a thread that is never joined. A task
waits for it, and only for so many seconds.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

PATIENCE = 10.0  # seconds

Look = Callable[[str], Any]


class NoAnswer(Exception):
    """The disk of `path` did not answer in time, and may never do so."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(slots=True)
class _Asked:
    """One call of `look` for each of `paths`, in turn; `at` is the path of the call under way."""

    look: Look
    paths: tuple[str, ...]
    at: str
    answer: Future[list[Any]] = field(default_factory=Future)
    hangs: bool = False

    def run(self) -> None:
        self.answer.set_running_or_notify_cancel()
        found = []
        with suppress(RuntimeError):  # the loop is closed, so no task waits any more
            try:
                for path in self.paths:
                    self.at = path
                    found.append(self.look(path))
            except BaseException as fault:
                self.answer.set_exception(fault)
            else:
                self.answer.set_result(found)


class Reach:
    """Makes calls to disks in threads. While a call hangs, the same call fails at once.

    `patience` is in seconds.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._asked: dict[tuple[Look, tuple[str, ...]], _Asked] = {}
        self._idle: list[_Looker] = []

    async def ask(self, look: Look, *paths: str, times: int = 1) -> list[Any]:
        """The results of `look` for each path. Raises what it raises, NoAnswer if the disk hangs.

        It hangs after `times` the patience. Callers who ask the same meanwhile share the call: ten
        songs that end at the same moment cost one look at the outbox.
        """
        if not paths:
            return []
        self._forget_ended()
        asked = self._asked.get((look, paths))
        if asked is None:
            asked = self._asked[look, paths] = _Asked(look, paths, paths[0])
            looker = self._idle.pop() if self._idle else _Looker(self._idle)
            looker.work.put(asked)
        elif asked.hangs:
            raise NoAnswer(asked.at)
        waiting = asyncio.wrap_future(asked.answer)
        waiting.add_done_callback(partial(self._answered, asked))
        # `wait` does not cancel the call with its caller: other tasks may wait for it too.
        done, _ = await asyncio.wait({waiting}, timeout=self._patience * times)
        if not done:
            asked.hangs = True
            raise NoAnswer(asked.at)
        return waiting.result()

    def _forget_ended(self) -> None:
        """Of what was answered once its own loop was closed: nobody else would let go of it."""
        for key in [key for key, asked in self._asked.items() if asked.answer.done()]:
            del self._asked[key]

    def _answered(self, asked: _Asked, answered: asyncio.Future[list[Any]]) -> None:
        if self._asked.get((asked.look, asked.paths)) is asked:
            del self._asked[asked.look, asked.paths]  # or each folder ever asked for would stay
        if not answered.cancelled():
            answered.exception()  # or asyncio warns of a fault whose caller was cancelled


class _Looker:
    """A thread that makes one call after another: starting one costs more than most calls."""

    def __init__(self, idle: list[_Looker]) -> None:
        self.work: SimpleQueue[_Asked] = SimpleQueue()
        self._idle = idle
        threading.Thread(target=self._run, name="reach", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.work.get().run()
            self._idle.append(self)
