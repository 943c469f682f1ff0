#!/usr/bin/env bash
# An INSERT of aiosqlite whose task was cancelled before its turn came is run nevertheless, and committed by the next.
#
# A statement is put into the queue of the connection's thread, and nothing takes it out: a timeout around
# `execute` ends the waiting only. Who then tries again has the row twice. A function that was handed to
# `run_in_executor`, and cancelled while it waits, is never called.
# Seen with aiosqlite 0.22.1: of 20 cancelled inserts 20 rows are there; of 20 calls in an executor none was made.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq aiosqlite==0.22.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import asyncio, sys, threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
import aiosqlite

COUNT = 20

async def cancelled(calls):
    """How many of these coroutines were cancelled, after each had begun to wait."""
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    return sum(isinstance(end, asyncio.CancelledError) for end in ends)

async def by_aiosqlite():
    """(inserts that were cancelled, rows after the next commit); the thread is held until then."""
    gate = threading.Event()
    async with aiosqlite.connect("jobs.db") as db:
        await db.execute("CREATE TABLE jobs (number INTEGER)")
        await db.create_function("held", 0, gate.wait)
        busy = asyncio.create_task(db.execute("SELECT held()"))
        ended = await cancelled([insert(db, number) for number in range(COUNT)])
        gate.set()
        await busy
        await db.commit()
    async with aiosqlite.connect("jobs.db") as db, db.execute("SELECT count(*) FROM jobs") as rows:
        return ended, (await rows.fetchone())[0]

async def insert(db, number):
    await db.execute("INSERT INTO jobs VALUES (?)", (number,))

async def by_executor():
    """The same with a thread of the standard library's."""
    gate, made = threading.Event(), []
    with ThreadPoolExecutor(1) as executor:
        busy = asyncio.get_running_loop().run_in_executor(executor, gate.wait)
        ended = await cancelled([call(executor, made) for _ in range(COUNT)])
        gate.set()
        await busy
    return ended, len(made)

async def call(executor, made):
    await asyncio.get_running_loop().run_in_executor(executor, made.append, 1)

statements, calls = asyncio.run(by_aiosqlite()), asyncio.run(by_executor())
print("version:  aiosqlite", version("aiosqlite"))
print("expected: what is cancelled before it began is not done")
print(f"seen:     aiosqlite: {statements[0]} inserts cancelled, {statements[1]} rows in the table")
print(f"          executor:  {calls[0]} calls cancelled, {calls[1]} made")
sys.exit(0 if statements == (COUNT, COUNT) and calls == (COUNT, 0) else 1)
END
