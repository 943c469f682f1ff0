#!/usr/bin/env bash
# A pgqueuer worker can't be told to work on one job at a time: a limit of 1 is an error, 2 takes two.
#
# `max_concurrent_tasks` has to be twice the batch, and no batch is smaller than 1. A card with memory for
# one song gets two. The limit of an entrypoint is no way out: it is enforced "across all workers", so a
# second box, which costs as much by the hour, stands idle.
# Seen with pgqueuer 1.6.0: of 1 a RuntimeError at the start, of 2 two songs at once.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq pgqueuer==1.6.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import asyncio, logging, sys
from importlib.metadata import version
from pgqueuer import PgQueuer
from pgqueuer.types import QueueExecutionMode

logging.disable()

async def at_once(limit):
    """The most of four songs that one worker separates at a time, or why it does not start."""
    app = PgQueuer.in_memory()
    running, most = 0, 0

    @app.entrypoint("separate")
    async def separate(job):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.5)
        running -= 1

    await app.qm.queries.enqueue(["separate"] * 4, [None] * 4, [0] * 4)
    try:
        await app.qm.run(batch_size=1, max_concurrent_tasks=limit, mode=QueueExecutionMode.drain)
    except RuntimeError as error:
        return str(error)
    return most

async def main():
    return await at_once(1), await at_once(2)

one, two = asyncio.run(main())
print("version:  pgqueuer", version("pgqueuer"))
print("expected: one song at a time with max_concurrent_tasks=1, the smallest batch being 1")
print("seen:     of 1:", one)
print("          of 2:", two, "at once")
sys.exit(0 if "twice the batch" in str(one) and two == 2 else 1)
END
