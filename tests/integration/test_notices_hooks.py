"""Hooks as real programs: what they get, and what they may do without harming anybody."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stemwatch.notices.events import DELIVERED, PAUSED, QUARANTINED, Event
from stemwatch.notices.hooks import AT_ONCE, MOST, Hooks
from stemwatch.notices.payload import payload
from stemwatch.notices.programs import Ended, environment, run
from tests.support.waiting import wait_for, wait_for_async

PAUSE = Event(PAUSED, code="server", message="the API can't be reached.", hint="Nothing to do.")


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Any]:
    """Makes an executable of a shell script; whatever runs below `tmp_path` must end with it."""

    def make(text: str, name: str = "hook") -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    yield make
    wait_for(lambda: left(tmp_path) == [], what="the end of all that was started")


def everything() -> Iterator[psutil.Process]:
    yield from psutil.process_iter(["cmdline", "status"])


def left(tmp_path: Path) -> list[psutil.Process]:
    """Processes of this test's scripts that still run."""
    found = []
    for process in everything():
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and str(tmp_path) in " ".join(words):
            found.append(process)
    return found


def ran(*command: str, given: bytes = b"{}", seconds: float = 30.0) -> Ended:
    env = environment(os.environ)
    return asyncio.run(run(command, given, env=env, seconds=seconds))


def told(hooks: Hooks, *events: Event) -> None:
    """Tell `events` and wait until their commands have ended."""

    async def go() -> None:
        task = asyncio.create_task(hooks.run())
        for event in events:
            hooks.tell(event)
        await hooks.finished()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())


def test_a_program_reads_what_it_is_given_and_says_how_it_went(script: Any) -> None:
    ended = ran(script("cat; pwd; echo the end >&2; exit 3"), given=b'{"a": 1}\n')
    assert ended == Ended(3, '{"a": 1}\n/\nthe end\n')
    assert ended.last_line == "the end"


def test_nobody_has_to_read_and_a_file_can_be_read_twice(script: Any) -> None:
    """A pipe would break under a writer that nobody listens to, or block it."""
    assert ran(script("exit 0"), given=b"x" * 5_000_000).code == 0
    assert ran(script("cat /dev/stdin | wc -c; wc -c"), given=b"x" * 200_000).output.split() == [
        "200000",
        "200000",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "exec SLEEP",
        "trap '' TERM HUP INT; while :; do sleep 0.1; done",
        "SLEEP & SLEEP & SLEEP",
        "(trap '' TERM; SLEEP) & exit 0",
    ],
    ids=["hangs", "ignores", "forks", "leaves"],
)
def test_whatever_hangs_is_killed_with_all_that_it_started(script: Any, text: str) -> None:
    """Its time is over: the whole group ends, in the background too."""
    sleep = f"sleep 1000.{os.getpid()}"  # ours, whoever else sleeps on this machine
    assert ran(script(text.replace("SLEEP", sleep)), seconds=0.3).code is None

    def over() -> bool:  # what is killed needs its moment of a busy machine
        return sleep not in [" ".join(p.info["cmdline"] or ()) for p in everything()]

    wait_for(over)


def test_what_it_leaves_in_the_background_has_the_rest_of_its_time(script: Any) -> None:
    """`curl ... &` as the last line is what people write."""
    assert ran(script("(sleep 0.2; echo done) &")) == Ended(0, "done\n")


def test_a_daemon_that_lets_go_of_the_output_is_nobody_s_hold_up(script: Any) -> None:
    started = time.monotonic()
    assert ran(script("setsid sleep 20 </dev/null >/dev/null 2>&1 &"), seconds=60.0).code == 0
    assert time.monotonic() - started < 18


def test_a_flood_of_output_costs_next_to_nothing(script: Any) -> None:
    """10 MB are read, no faster than 20 MB a second: the loop turns, and only the end is kept."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    async def go() -> Ended:
        counter = asyncio.create_task(count())
        try:
            command = [script("head -c 10000000 /dev/zero; echo; echo the end")]
            return await run(command, b"", env=environment(os.environ), seconds=60.0)
        finally:
            counter.cancel()

    cpu, started = time.process_time(), time.monotonic()
    ended = asyncio.run(go())
    assert time.monotonic() - started > 0.4
    assert len(ended.output) == 32768
    assert ended.output.endswith("\0\nthe end\n")
    assert turns > 10
    assert time.process_time() - cpu < 0.7


def test_a_cancelled_run_leaves_nothing(script: Any, tmp_path: Path) -> None:
    async def go() -> None:
        command = [script(f"trap '' TERM; touch {tmp_path}/up; sleep 1000")]
        task = asyncio.create_task(run(command, b"", env=environment(os.environ), seconds=60))
        await wait_for_async((tmp_path / "up").exists)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(go())
    # On a busy machine a process that was killed may take a moment to die.
    wait_for(lambda: left(tmp_path) == [], what="the end of the hook")


def test_a_hook_gets_the_reason_and_none_of_our_secrets(script: Any, tmp_path: Path) -> None:
    reason = {"code": "too_large", "message": "it is over 100 MB.", "first_seen": 0.0}
    odd = os.fsdecode(b"sch\xf6n.mp3")
    event = Event(
        QUARANTINED, code="too_large", name=odd, folder="/q", file=f"/q/{odd}", reason=reason
    )
    env = {
        **os.environ,
        "STEMSPLIT_API_KEY": "canary-1",
        "CREDENTIALS_DIRECTORY": "/canary-2",
        "NOTIFY_SOCKET": "/canary-3",
    }
    hook = script(f"cat > {tmp_path}/stdin; env > {tmp_path}/env; exit 0")
    told(Hooks({QUARANTINED: [hook]}, payload, env=env, seconds=30), event)
    found = json.loads((tmp_path / "stdin").read_text())
    assert (found["code"], found["hint"]) == ("too_large", None)
    assert found["first_seen"] == "1970-01-01T00:00:00Z"
    lines = (tmp_path / "env").read_bytes()
    assert b"canary" not in lines
    assert b"STEMWATCH_EVENT=quarantined\n" in lines
    assert b"STEMWATCH_NAME=sch\xf6n.mp3\n" in lines


def test_a_pause_and_a_folder_that_is_gone_are_json_too(tmp_path: Path) -> None:
    async def both() -> list[Any]:
        gone = Event(DELIVERED, name="a.mp3", folder=str(tmp_path / "gone"))
        return [json.loads(await payload(event)) for event in (PAUSE, gone)]

    about = {"code": "server", "message": PAUSE.message, "hint": PAUSE.hint}
    assert asyncio.run(both()) == [about, None]


def test_two_at_once_and_no_more(script: Any, tmp_path: Path) -> None:
    """Each notes how many are at work beside it."""
    beside = tmp_path / "beside"
    beside.mkdir()
    hook = script(
        f"touch {beside}/$$; ls {beside} | wc -l >> {tmp_path}/seen; sleep 0.1; rm {beside}/$$"
    )
    told(Hooks({PAUSED: [hook]}, payload, env=os.environ, seconds=30), *[PAUSE] * 8)
    seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(seen) == 8
    assert max(seen) == AT_ONCE


def test_what_fails_is_told_once_until_it_works_again(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Missing, failing, and then well: one line in the log for each kind of event."""
    hook = script(f"test -e {tmp_path}/well || {{ echo no rescan: refused >&2; exit 7; }}")
    commands = {PAUSED: [hook], DELIVERED: [str(tmp_path / "missing")]}
    hooks = Hooks(commands, payload, env=os.environ, seconds=30)
    told(hooks, *[PAUSE] * 3, *[Event(DELIVERED)] * 3)
    lines = [line for line in capsys.readouterr().err.splitlines() if "hook.failed" in line]
    assert len(lines) == 2
    assert any("it ended with 7" in line and "no rescan: refused" in line for line in lines)
    assert any("can't be started: No such file" in line for line in lines)


def test_ten_thousand_events_are_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    """Taken in within a moment; what is too much is counted and told once."""

    async def go() -> int:
        hooks = Hooks({PAUSED: ["/bin/true"]}, payload, env=os.environ, seconds=30)
        for _ in range(10_000):
            hooks.tell(PAUSE)
        return hooks.left

    cpu = time.process_time()
    assert asyncio.run(go()) == 10_000
    assert time.process_time() - cpu < 1
    err = capsys.readouterr().err
    assert err.count("hooks.dropping") == 1
    assert f"more than {MOST} events" in err
