#!/usr/bin/env bash
# uvicorn's `limit_concurrency=1` answers 503 to every request: idle connections count, and the asking one.
#
# It counts open connections, whatever goes on in them; its help says "concurrent connections or
# tasks". A page that browsers keep a connection to takes the seats of who brings songs, with nothing to do;
# a server meant to take one song at a time takes none.
# Seen with uvicorn 0.54.0: of four clients, one after the other, a limit of N answers the first N - 1.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq uvicorn==0.54.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import http.client, socket, sys, threading, time
import uvicorn

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})

def answers(limit):
    """Statuses of four clients, each answered in full before the next asks; all keep their connections."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, limit_concurrency=limit, log_level="critical", lifespan="off")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    clients = [http.client.HTTPConnection(*listener.getsockname(), timeout=30) for _ in range(4)]
    statuses = []
    for client in clients:
        client.request("GET", "/")
        answer = client.getresponse()
        answer.read()
        statuses.append(answer.status)
    for client in clients:
        client.close()
    server.should_exit = True
    thread.join(30)
    return statuses

seen = {limit: answers(limit) for limit in (1, 2, 4)}
print("version:  uvicorn", uvicorn.__version__)
print("expected: 200 for all: no two requests are ever under way at once")
for limit, statuses in seen.items():
    print(f"seen:     limit_concurrency={limit}:", *statuses)
sys.exit(0 if all(s == [200] * (n - 1) + [503] * (5 - n) for n, s in seen.items()) else 1)
END
