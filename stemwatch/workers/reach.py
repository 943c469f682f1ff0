"""Asking a disk that may never answer: a network mount that hangs must not hang the service.

A call into such a mount can't be interrupted from outside, so it gets a thread that nobody joins;
what waits is a task, and no longer than it has patience.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 10.0  # seconds


class NoAnswer(Exception):
    """The disk did not answer; perhaps it never will."""


class Reach:
    """Looks at disks, by their paths. While one look hangs, the next ones fail at once."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._hung: dict[str, Future[object]] = {}

    async def ask(self, path: str, look: Callable[[], T]) -> T:
        """What `look` returns or raises; NoAnswer after `patience` seconds."""
        hung = self._hung.get(path)
        if hung is not None and not hung.done():
            raise NoAnswer(path)
        answer: Future[T] = Future()
        threading.Thread(target=_run, args=(look, answer), name="reach", daemon=True).start()
        waiting = asyncio.wrap_future(answer)
        done, _ = await asyncio.wait({waiting}, timeout=self._patience)
        if not done:
            waiting.add_done_callback(_forget)
            self._hung[path] = answer  # type: ignore[assignment]
            raise NoAnswer(path)
        self._hung.pop(path, None)
        return waiting.result()


def _run(look: Callable[[], T], answer: Future[T]) -> None:
    answer.set_running_or_notify_cancel()
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        try:
            found = look()
        except BaseException as fault:
            answer.set_exception(fault)
        else:
            answer.set_result(found)


def _forget(late: asyncio.Future[T]) -> None:
    if not late.cancelled():
        late.exception()  # nobody else asks for it
