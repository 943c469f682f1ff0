"""Bounded waits for disks that may never answer, such as a hanging network mount.

A call into such a mount can't be interrupted from outside, so it gets a thread that nobody joins;
what waits is a task, and no longer than it has patience.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

PATIENCE = 10.0  # seconds

Look = Callable[[str], Any]


class NoAnswer(Exception):
    """The disk of `path` did not answer; perhaps it never will."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(slots=True)
class _Asked:
    """`look` at each of `paths`, in turn; `at` is the one that is being looked at."""

    look: Look
    paths: tuple[str, ...]
    at: str
    answer: Future[list[Any]] = field(default_factory=Future)
    hangs: bool = False

    def run(self) -> None:
        self.answer.set_running_or_notify_cancel()
        found = []
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            try:
                for path in self.paths:
                    self.at = path
                    found.append(self.look(path))
            except BaseException as fault:
                self.answer.set_exception(fault)
            else:
                self.answer.set_result(found)


class Reach:
    """Looks at disks, by their paths. While one look hangs, the next ones fail at once."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._asked: dict[tuple[Look, tuple[str, ...]], _Asked] = {}
        self._idle: list[_Looker] = []

    async def ask(self, look: Look, *paths: str, times: int = 1) -> list[Any]:
        """What `look` returns or raises for each path; NoAnswer after `times` the patience.

        Whoever asks the same while a look is under way shares it: ten songs that end at the same
        moment are one look at the outbox.
        """
        if not paths:
            return []
        asked = self._asked.get((look, paths))
        if asked is None or asked.answer.done():
            asked = self._asked[look, paths] = _Asked(look, paths, paths[0])
            looker = self._idle.pop() if self._idle else _Looker(self._idle)
            looker.work.put(asked)
        elif asked.hangs:
            raise NoAnswer(asked.at)
        waiting = asyncio.wrap_future(asked.answer)
        waiting.add_done_callback(_forget)
        # Not cancelled with whoever waits: others may wait for it too.
        done, _ = await asyncio.wait({waiting}, timeout=self._patience * times)
        if not done:
            asked.hangs = True
            raise NoAnswer(asked.at)
        return waiting.result()


class _Looker:
    """A thread that looks, again and again: starting one costs more than most looks."""

    def __init__(self, idle: list[_Looker]) -> None:
        self.work: SimpleQueue[_Asked] = SimpleQueue()
        self._idle = idle
        threading.Thread(target=self._run, name="reach", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.work.get().run()
            self._idle.append(self)


def _forget(answered: asyncio.Future[list[Any]]) -> None:
    if not answered.cancelled():
        answered.exception()  # whoever asked may have gone: then nobody else looks at it
