#!/usr/bin/env bash
# A handful of slow files keep asyncio from connecting to any host by its name; by its number it connects.
#
# `asyncio.to_thread` and the system's resolver share one pool of threads: as many as the machine has cores,
# and four. On a small server six reads of a hung share, or six long hashes, and every client, webhook and
# database connection waits, in a loop that answers at once. All time out while they connect, so the fault is
# sought in the network. Slow work needs an executor of its own, or the loop a larger one.
# Seen with Python 3.11.7 on 2 cores: 127.0.0.1 after 0.00 s, localhost after 2.9 s, when a thread is free.
set -eu
"${PYTHON:-python3}" - <<'END'
import asyncio, os, platform, sys, time

BUSY = 3  # seconds

async def seconds_to(host, port):
    begun = time.monotonic()
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    return time.monotonic() - begun

async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    free = await seconds_to("localhost", port)
    cores = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    slow = min(32, cores + 4)  # Python's own number of threads
    work = [asyncio.create_task(asyncio.to_thread(time.sleep, BUSY)) for _ in range(slow)]
    await asyncio.sleep(0.1)
    number, name = await seconds_to("127.0.0.1", port), await seconds_to("localhost", port)
    await asyncio.gather(*work)
    server.close()
    return slow, free, number, name

slow, free, number, name = asyncio.run(main())
print("version:  Python", platform.python_version())
print("expected: what runs in threads doesn't hold up connections: that's what it is in threads for")
print(f"seen:     localhost after {free:.2f} s; while {slow} threads sleep for {BUSY} s, 127.0.0.1 after {number:.2f} s")
print(f"          and localhost after {name:.2f} s")
sys.exit(0 if free < 1 and number < 1 and name > BUSY - 1 else 1)
END
