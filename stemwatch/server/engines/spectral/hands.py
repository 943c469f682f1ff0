"""Threads that share the work on a block: what numpy and scipy do without Python's lock, side by
side. With one thread everything is done in turn, where its result is asked for.
"""

from __future__ import annotations

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
        """Begin with it; what is returned gives the result, once."""
        if self._pool is None:
            return lambda: work(*args, **kwargs)
        return self._pool.submit(work, *args, **kwargs).result

    def each(self, work: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Do it for each item; the first one by the caller's own hand."""
        first, *others = items
        begun = [self.begin(work, item) for item in others]
        work(first)
        for result in begun:
            result()

    def shares(self, count: int) -> list[slice]:
        """0 to `count` in as many parts as there are threads, as alike as can be."""
        edges = [count * part // self.threads for part in range(self.threads + 1)]
        return [slice(*ends) for ends in pairwise(edges)]


ALONE = Hands()
