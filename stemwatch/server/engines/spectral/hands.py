"""Threads that share the work on a block: what numpy and scipy do without Python's lock.

With one thread everything is done in turn, where its result is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Made = TypeVar("Made")
Item = TypeVar("Item")


class Hands:
    """`threads` of them, the caller's own among them. A context manager."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1) if threads > 1 else None

    def __enter__(self) -> Hands:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def begin(
        self, work: Callable[Given, Made], *args: Given.args, **kwargs: Given.kwargs
    ) -> Callable[[], Made]:
        """Begin with it; what is returned gives the result, once.

        Who asks for a result that nobody has begun with makes it himself: no hand is idle.
        """
        if self._pool is None:
            return lambda: work(*args, **kwargs)
        begun = self._pool.submit(work, *args, **kwargs)
        return lambda: work(*args, **kwargs) if begun.cancel() else begun.result()

    def each(self, work: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Do it for each item; every hand takes the next one until none is left."""
        left = deque(items)

        def some() -> None:
            while left:
                try:
                    item = left.popleft()
                except IndexError:  # another hand was quicker
                    return
                work(item)

        begun = [self.begin(some) for _ in range(self.threads - 1)]
        some()
        for result in begun:
            result()

    def shares(self, count: int, each: int = 1) -> list[slice]:
        """0 to `count` in `each` parts for every thread, as alike as can be."""
        parts = each * self.threads
        edges = [count * part // parts for part in range(parts + 1)]
        return [slice(*ends) for ends in pairwise(edges)]


ALONE = Hands()
