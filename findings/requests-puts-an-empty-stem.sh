#!/usr/bin/env bash
# A stem that requests sends again after a 503 is stored with 0 bytes, and 200 is the answer.
#
# What is sent piece by piece, from a generator, can be sent once: httpx and aiohttp raise an error. urllib3, which does
# requests' retries, takes what is left of it, nothing, and sends that as a whole body. It retries a PUT where the server
# asks for it, and by itself, unasked, where a connection ends without an answer. The caller sees the answer to the
# empty one. Send a file, which is wound back, or make each try yourself.
# Seen with requests 2.34.2 and urllib3 2.8.0: the server gets 1,000,000 bytes and then 0.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 aiohttp==3.14.5 || exit 2
cd "$work" && venv/bin/python - <<'END'
import asyncio, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import aiohttp, httpx, requests, urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

got = []  # the length of each body, in order

class Server(BaseHTTPRequestHandler):
    """Reads each PUT. The first is answered by 503 under /busy, and by the connection's end under /restart."""
    protocol_version = "HTTP/1.1"

    def body(self):
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def do_PUT(self):
        got.append(len(self.body()))
        if len(got) > 1:
            self.answer(200)
        elif self.path == "/busy":
            self.answer(503)
        else:
            self.close_connection = True

    def do_GET(self):
        self.answer(200)

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
with open("stem", "wb") as file:
    file.write(b"s" * 1_000_000)

def pieces():
    for _ in range(10):
        yield b"s" * 100_000

async def pieces_later():
    for piece in pieces():
        yield piece

def by_requests(body):
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=Retry(3, status_forcelist=[503])))
        return session.put(base + "/busy", data=body).status_code

def by_urllib3(body):
    return urllib3.PoolManager().request("PUT", base + "/restart", body=body).status

def by_httpx(body):
    with httpx.Client() as client:
        client.get(base)
        return client.put(base + "/restart", content=body).status_code

def by_aiohttp(body):
    async def put():
        async with aiohttp.ClientSession() as session:
            async with session.get(base):
                pass  # it retries on used connections
            async with session.put(base + "/restart", data=body) as answer:
                return answer.status
    return asyncio.run(put())

def put(way, body):
    """(what the caller is told, the lengths that the server got)."""
    got.clear()
    try:
        told = way(body)
    except (httpx.HTTPError, aiohttp.ClientError, OSError, urllib3.exceptions.HTTPError) as error:
        told = type(error).__name__
    return told, list(got)

seen = {
    "requests, 503": put(by_requests, pieces()),
    "urllib3, no answer": put(by_urllib3, pieces()),
    "httpx, no answer": put(by_httpx, pieces()),
    "aiohttp, no answer": put(by_aiohttp, pieces_later()),
    "requests, 503, a file": put(by_requests, open("stem", "rb")),
}
print("versions: requests", requests.__version__ + ", urllib3", urllib3.__version__ + ", httpx", httpx.__version__ + ",",
      "aiohttp", aiohttp.__version__)
print("expected: an error, as what was sent piece by piece is gone")
for name, (told, lengths) in seen.items():
    print(f"seen:     {name:22} {told}; the server got {lengths}")
empty = (200, [1_000_000, 0])
sys.exit(0 if seen["requests, 503"] == seen["urllib3, no answer"] == empty
         and all(seen[name][0] != 200 for name in ("httpx, no answer", "aiohttp, no answer"))
         and seen["requests, 503, a file"] == (200, [1_000_000] * 2) else 1)
END
