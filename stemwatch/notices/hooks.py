"""Hooks: runs the user's command for each event, two at a time; a failing one harms nothing else.

A command is run at most once for an event: a stop or a kill drops what still waits. stemwatch waits
for hooks only at its end, for a few seconds.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from stemwatch.log import log
from stemwatch.notices.events import Event
from stemwatch.notices.programs import Ended, environment, run

AT_ONCE = 2
MOST = 5000  # events that wait
_LONGEST = 4000  # characters of a variable: the kernel refuses very long ones

Payload = Callable[[Event], Awaitable[bytes]]


class Hooks:
    """Runs `commands[event.kind]` for each event, with `payload(event)` as stdin, for `seconds`."""

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        payload: Payload,
        *,
        env: Mapping[str, str],
        seconds: float,
    ) -> None:
        self._commands = commands
        self._payload = payload
        self._env = environment(env)
        self._seconds = seconds
        self._waiting: deque[Event] = deque()
        self._there = asyncio.Event()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._failing: set[str] = set()
        self._dropped = 0

    def tell(self, event: Event) -> None:
        """Queue the event's command; returns at once. Beyond MOST that wait, it is dropped."""
        if event.kind not in self._commands:
            return
        if len(self._waiting) >= MOST:
            if not self._dropped:
                message = f"more than {MOST} events wait for hooks: what comes now is not told."
                log.warning("hooks.dropping", message=message, hint="Make the hook quicker.")
            self._dropped += 1
            return
        self._waiting.append(event)
        self._idle.clear()
        self._there.set()

    async def run(self) -> None:
        """Until cancelled, which kills the commands under way."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._work())

    async def finished(self) -> None:
        """Returns when nothing waits and nothing runs."""
        await self._idle.wait()

    @property
    def left(self) -> int:
        """How many events have not had their command yet, or were dropped."""
        return len(self._waiting) + self._busy + self._dropped

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._there.clear()
                await self._there.wait()
            event = self._waiting.popleft()
            self._busy += 1
            try:
                await self._one(event)
            finally:
                self._busy -= 1
                if not self._waiting and not self._busy:
                    self._idle.set()
            if self._dropped and not self._waiting:
                log.warning("hooks.dropped", count=self._dropped)
                self._dropped = 0

    async def _one(self, event: Event) -> None:
        try:
            given = await self._payload(event)
            env = self._env | _variables(event)
            command = self._commands[event.kind]
            ended = await run(command, given, env=env, seconds=self._seconds)
        except OSError as fault:
            self._failed(event, f"it can't be started: {fault.strerror}", "")
        except Exception as fault:  # a fault of a hook must not stop any song
            self._failed(event, f"an unexpected fault: {type(fault).__name__}", "")
        else:
            self._judge(event, ended)

    def _judge(self, event: Event, ended: Ended) -> None:
        if ended.code == 0:
            self._failing.discard(event.kind)
        elif ended.code is None:
            self._failed(event, f"killed after {self._seconds:g} s", ended.last_line)
        else:
            self._failed(event, f"it ended with {ended.code}", ended.last_line)

    def _failed(self, event: Event, message: str, said: str) -> None:
        """Warn once for a kind of event, until its hook works again: not once for each song."""
        first = event.kind not in self._failing
        self._failing.add(event.kind)
        tell = log.warning if first else log.debug
        tell("hook.failed", hook=f"hooks.{event.kind}", message=message, said=said[:200] or None)


def _variables(event: Event) -> dict[str, str]:
    values = {
        "EVENT": event.kind,
        "NAME": event.name,
        "FOLDER": event.folder,
        "FILE": event.file,
        "CODE": event.code,
        "MESSAGE": event.message,
    }
    return {f"STEMWATCH_{name}": _passable(value) for name, value in values.items()}


def _passable(text: str) -> str:
    """`text` as an environment variable takes it; names that are not UTF-8 keep their bytes."""
    with suppress(UnicodeEncodeError):
        os.fsencode(text)
        return text.replace("\0", "")[:_LONGEST]
    return text.encode("utf-8", "replace").decode()[:_LONGEST]
