"""Probes of small files, several in one request: a trip to a helper costs as much as the probe."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from stemwatch.tasks import supervised

MOST = 8  # files in one request
_SENDERS = 2  # requests at a time, one for each helper

Answer = Mapping[str, Any] | None
Ask = Callable[[Sequence[str]], Awaitable[Sequence[Mapping[str, Any]]]]


class Groups:
    """Gathers what is asked while helpers are busy. `ask` sends one request for some paths.

    A group that fails, whatever the reason, answers None for each of its files: who asked then asks
    for that file alone, so that only the one to blame is refused.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._waiting: deque[tuple[str, asyncio.Future[Answer]]] = deque()
        self._senders: set[asyncio.Task[None]] = set()

    async def answer(self, path: str) -> Answer:
        """The helper's answer for this file; None: ask for it alone."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((path, future))
        if len(self._senders) < _SENDERS:
            sender = supervised(self._send(), self._fail)
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return await future

    async def _send(self) -> None:
        await asyncio.sleep(0)  # those who ask at the same moment share a request
        while group := self._next():
            answers: Sequence[Answer] = [None] * len(group)
            try:
                answers = await self._ask([path for path, _ in group])
            except asyncio.CancelledError:  # the service ends: nobody should ask again
                _give_up(group)
                raise
            except Exception:  # noqa: S110 (each of them is asked again, and then tells its fault)
                pass
            for (_, future), answer in zip_longest(group, answers[: len(group)]):
                if not future.done():
                    future.set_result(answer)
        # At once, not when the loop has seen that this task is over: who asks until then would
        # count on it, and wait for ever.
        if sender := asyncio.current_task():
            self._senders.discard(sender)

    def _next(self) -> list[tuple[str, asyncio.Future[Answer]]]:
        """An even share of what waits, so that no helper is idle while the other has a queue."""
        share = -(-len(self._waiting) // _SENDERS)
        group = [self._waiting.popleft() for _ in range(min(MOST, share))]
        return [one for one in group if not one[1].done()] or (self._next() if group else [])

    def _fail(self, fault: BaseException) -> None:
        """Nobody waits for ever for a sender that a fault of ours has ended."""
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(fault)
        self._waiting.clear()

    def cancel(self) -> None:
        """Give up all that was asked."""
        for sender in self._senders:
            sender.cancel()
        _give_up(self._waiting)
        self._waiting.clear()


def _give_up(asked: Iterable[tuple[str, asyncio.Future[Answer]]]) -> None:
    for _, future in asked:
        future.cancel()
