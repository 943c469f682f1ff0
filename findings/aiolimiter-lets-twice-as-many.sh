#!/usr/bin/env bash
# aiolimiter's AsyncLimiter(60, 60) sends 119 requests in its first minute, and again after each minute of rest.
#
# Its README says "100 concurrent entries within a 30 second window" of AsyncLimiter(100, 30). It is a leaky bucket: the
# full number goes at once, and beside it one for each that leaks. A server that counts 60 a minute answers 429
# from the 61st on, and who pays for requests pays twice. Half the number keeps the limit.
# Seen with aiolimiter 1.3.0: AsyncLimiter(20, 1) lets 39 through within one second.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq aiolimiter==1.3.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import asyncio, sys
from importlib.metadata import version
from aiolimiter import AsyncLimiter

async def most(limit, period, clients=1):
    """How many requests went within one period, at most, of three periods' requests."""
    limiter, clock, sent = AsyncLimiter(limit, period), asyncio.get_running_loop().time, []
    end = clock() + 3 * period

    async def client():
        while clock() < end:
            async with limiter:
                sent.append(clock())

    await asyncio.gather(*(client() for _ in range(clients)))
    return max(sum(first <= moment < first + period for moment in sent) for first in sent)

seen = {clients: asyncio.run(most(20, 1.0, clients)) for clients in (1, 50)}
half = asyncio.run(most(10, 1.0))
print("version:  aiolimiter", version("aiolimiter"))
print("expected: at most 20 within any second, from AsyncLimiter(20, 1)")
for clients, count in seen.items():
    print(f"seen:     {clients} at a time: {count}")
print(f"          from AsyncLimiter(10, 1): {half}")
sys.exit(0 if min(seen.values()) > 32 and half <= 20 else 1)
END
