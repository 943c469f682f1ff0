"""Waiting for conditions, so that no test waits for a fixed time; and a clock that stands still."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
# For clients that only ever speak plain HTTP: reading the machine's certificates takes 30 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass
class Clock:
    """A clock that stands still until a test sets it; seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def namespaces() -> bool:
    """May this account make mounts and processes of its own? Root in a container often may not."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    tried = ["unshare", "--mount", "--pid", "--fork", "true"]
    return subprocess.run(tried, capture_output=True).returncode == 0


def wait_for(
    condition: Callable[[], T], *, timeout: float = 60.0, every: float = 0.02, what: str = ""
) -> T:
    """Return the first truthy value of `condition`; fail the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        time.sleep(every)


async def wait_for_async(
    condition: Callable[[], T], *, timeout: float = 60.0, every: float = 0.01, what: str = ""
) -> T:
    """The same on an event loop."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or condition}")
        await asyncio.sleep(every)


def undisturbed(scenario: Callable[[], Coroutine[Any, Any, T]], patience: float) -> T:
    """What it returns on a loop of its own; a failure counts only where that loop never stood.

    A client that shares the loop of a server of so little `patience`, in seconds, looks silent to
    it where a busy machine keeps both waiting. Such a run proves nothing, and is repeated, for a
    minute at most: what stops the loop each time is a fault as well.
    """
    until = time.monotonic() + 60.0
    steps: list[float] = []

    async def watched() -> T:
        async def watch() -> None:
            while True:
                steps.append(time.monotonic())
                await asyncio.sleep(0.01)

        steps[:] = [time.monotonic()]
        watching = asyncio.create_task(watch())
        try:
            return await scenario()
        finally:
            steps.append(time.monotonic())
            watching.cancel()

    while True:
        try:
            return asyncio.run(watched())
        except Exception:
            longest = max(after - before for before, after in itertools.pairwise(steps))
            if longest < patience / 3 or time.monotonic() > until:
                raise
