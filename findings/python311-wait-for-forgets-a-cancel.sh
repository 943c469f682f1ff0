#!/usr/bin/env bash
# Until Python 3.11 `asyncio.wait_for` swallows a cancellation that meets the end of its wait.
#
# What is awaited ends, and before its waiter runs again somebody cancels the waiter: the
# cancellation is gone, and the task goes on. A service's loop that waits for "the next signal or
# five seconds" then can't be stopped. `asyncio.timeout` keeps it. Needs python3.11.
set -eu
old=${PYTHON:-python3.11}
command -v "$old" >/dev/null || { echo "no $old here" >&2; exit 2; }
exec "$old" - <<'END'
import asyncio, platform, sys

async def by_wait_for(event):
    await asyncio.wait_for(event.wait(), 10)
    return "went on"

async def by_timeout(event):
    async with asyncio.timeout(10):
        await event.wait()
    return "went on"

async def cancelled_in_that_moment(wait):
    event = asyncio.Event()
    task = asyncio.create_task(wait(event))
    await asyncio.sleep(0.01)  # it waits
    event.set()
    task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    return "was cancelled" if isinstance(result, asyncio.CancelledError) else result

seen = asyncio.run(cancelled_in_that_moment(by_wait_for))
other = asyncio.run(cancelled_in_that_moment(by_timeout))
print("version:  Python", platform.python_version())
print("expected: a task that was cancelled while it waited is cancelled")
print("seen:     with asyncio.wait_for it", seen)
print("          with asyncio.timeout it", other)
sys.exit(0 if (seen, other) == ("went on", "was cancelled") else 1)
END
