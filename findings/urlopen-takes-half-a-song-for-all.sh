#!/usr/bin/env bash
# shutil.copyfileobj(urlopen(url), file) stores the first half of a song whose download broke off, and no error.
#
# The answer says its length, so an end before that is guessed to be an error. It is one for `read()` without a size, for
# urlretrieve, requests and httpx. Read in blocks or by lines, as all that stream do, http.client takes the end of the
# connection for the end of the file. Count what was stored and compare it with the answer's length.
# Seen with Python 3.11.7, 3.12.1 and 3.13.0: 400,000 of 1,000,000 bytes.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq requests==2.34.2 httpx==0.28.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import os, platform, shutil, sys, threading
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import ContentTooShortError
from urllib.request import urlopen, urlretrieve
import httpx, requests

class Server(BaseHTTPRequestHandler):
    """Says 1,000,000 bytes, sends 400,000, and ends the connection, as a restart does."""
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.write(b"song" * 100_000)

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/song"

def copyfileobj():
    with urlopen(url) as answer, open("song", "wb") as file:
        shutil.copyfileobj(answer, file)
    return os.path.getsize("song")

def blocks():
    with urlopen(url) as answer:
        return sum(map(len, iter(lambda: answer.read(65536), b"")))

def lines():
    with urlopen(url) as answer:
        return sum(map(len, answer))

def read_all():
    with urlopen(url) as answer:
        return len(answer.read())

def retrieve():
    urlretrieve(url, "song")

def by_requests():
    with requests.get(url, stream=True) as answer:
        return sum(map(len, answer.iter_content(65536)))

def by_httpx():
    with httpx.stream("GET", url) as answer:
        return sum(map(len, answer.iter_bytes()))

def told(way):
    try:
        return way()
    except (HTTPException, ContentTooShortError, requests.RequestException, httpx.HTTPError) as error:
        return type(error).__name__

ways = {"copyfileobj": copyfileobj, "read(65536)": blocks, "for line in": lines, "read()": read_all,
        "urlretrieve": retrieve, "requests": by_requests, "httpx": by_httpx}
seen = {name: told(way) for name, way in ways.items()}
print("versions: Python", platform.python_version() + ", requests", requests.__version__ + ", httpx", httpx.__version__)
print("expected: an error, as 600,000 bytes are missing")
for name, what in seen.items():
    print(f"seen:     {name:12} {what}")
silent = [name for name, what in seen.items() if what == 400_000]
sys.exit(0 if silent == ["copyfileobj", "read(65536)", "for line in"] else 1)
END
