"""Background tasks that are supervised: a fault that ends one is reported, never lost.

asyncio keeps a task's exception until the task is awaited. A task that is never awaited dies in
silence, and its part of the work stands still for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
Broken = Callable[[BaseException], None]


def supervised(
    work: Coroutine[Any, Any, T], broken: Broken, *, name: str | None = None
) -> asyncio.Task[T]:
    """Start `work` as a task; call `broken` with a fault that ends it, but not if cancelled."""
    task = asyncio.create_task(work, name=name)
    supervise(task, broken)
    return task


def supervise(future: asyncio.Future[T], broken: Broken) -> None:
    """The same for a future that was started already, such as a call in a thread."""

    def ended(future: asyncio.Future[T]) -> None:
        if not future.cancelled() and (fault := future.exception()) is not None:
            broken(fault)

    future.add_done_callback(ended)


def in_a_thread(call: Callable[..., T], *args: Any, broken: Broken) -> asyncio.Future[T]:
    """Call it in a thread, supervised: for what may hang, as `close` does on a share.

    Whoever can wait for it may. Raises RuntimeError where the loop takes no more calls.
    """
    called = asyncio.get_running_loop().run_in_executor(None, call, *args)
    supervise(called, broken)
    return called


async def side_by_side(works: Iterable[Coroutine[Any, Any, None]], *, name: str) -> None:
    """Run `works` at the same time until all have returned, or one raises: the others end then."""
    tasks = [asyncio.create_task(work, name=name) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def kept_going(work: Callable[[], Awaitable[None]], broken: Broken, *, pause: float) -> None:
    """Run `work` until it returns; after a fault, call `broken` and try again in `pause` seconds.

    It is meant for a part of the service that may be missing for a while.
    """
    while True:
        try:
            await work()
            return
        except Exception as fault:
            broken(fault)
        await asyncio.sleep(pause)


async def to_its_end(work: Callable[..., T], *given: Any) -> T:
    """Call `work` in a thread. When cancelled, this ends only once the call has.

    Whoever takes it back then knows that there is something to take back.
    """
    call = asyncio.ensure_future(asyncio.to_thread(work, *given))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        if not call.cancelled():
            call.exception()  # else asyncio tells of one that nobody has looked at
        raise
