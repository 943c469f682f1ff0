"""Sends messages through Apprise, in a helper process that ends when they are sent.

Apprise and its plugins take 35 MB and a second to load, and a plugin that hangs can't be stopped
in a thread: a process gives the memory back and can be killed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemwatch.notices.programs import environment, run

# -P: a file named like a library in the current folder must not be imported.
_COMMAND = (sys.executable, "-P", "-m", "stemwatch.notices")
SENT, FAILED, INVALID = "sent", "failed", "invalid"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one Apprise URL; `body` None: the URL is only checked."""

    url: str
    title: str = ""
    body: str | None = None
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message: `kind` is SENT, FAILED (try again) or INVALID (never)."""

    kind: str
    why: str = ""


async def send(
    messages: Sequence[Message], *, env: Mapping[str, str], seconds: float
) -> list[Outcome]:
    """Send all of them, side by side; returns an outcome for each. Raises only when cancelled."""
    fields = ("url", "title", "body", "urgent")
    task = {"messages": [{name: getattr(m, name) for name in fields} for m in messages]}
    try:
        given = json.dumps(task).encode()
        ended = await run(_COMMAND, given, env=environment(env), seconds=seconds)
    except OSError as fault:
        return [Outcome(FAILED, f"no helper can be started: {fault.strerror}")] * len(messages)
    if ended.code is None:
        missing = Outcome(FAILED, f"no answer within {seconds:.0f} s")
    else:
        missing = Outcome(FAILED, f"the helper ended with {ended.code}")
    return [_told(ended.output).get(index, missing) for index in range(len(messages))]


def _told(output: str) -> dict[int, Outcome]:
    """The outcomes by index that the helper wrote before it ended; other lines are left out."""
    told = {}
    for line in output.splitlines():
        try:
            found = json.loads(line)
            told[int(found["index"])] = Outcome(str(found["outcome"]), str(found["why"]))
        except (ValueError, KeyError, TypeError):
            continue
    return told
