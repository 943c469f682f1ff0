#!/usr/bin/env bash
# httpcore looks for a package that nobody needs, on the disk, four times a request.
#
# Each lock and each event of its pool asks which async library runs: `import sniffio`, else asyncio.
# No dependency of httpx brings sniffio any more. An import that fails is not remembered by Python,
# so each one walks sys.path again. Installing sniffio ends it.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq httpx==0.28.1 httpcore==1.0.9 || exit 2
cat >"$work/count.py" <<'END'
import asyncio, http.server, importlib.metadata, sys, threading, time
import httpcore

class Searches:
    """First in sys.meta_path: asked for each import that is not loaded yet."""
    count = 0
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        cls.count += name == "sniffio"

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_):
        pass

sys.meta_path.insert(0, Searches)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()

async def main():
    async with httpcore.AsyncConnectionPool() as pool:
        url = f"http://127.0.0.1:{server.server_port}/"
        await pool.request("GET", url)
        Searches.count, began = 0, time.process_time()
        for _ in range(100):
            await pool.request("GET", url)
        return Searches.count / 100

print(asyncio.run(main()))
END
python=$work/venv/bin/python
without=$("$python" "$work/count.py")
"$work/venv/bin/pip" install -qq sniffio==1.3.1 || exit 2
with=$("$python" "$work/count.py")
echo "versions: httpx 0.28.1, httpcore 1.0.9, sniffio 1.3.1, $("$python" -V)"
echo "expected: no import is tried during a request on a connection that is kept open"
echo "seen:     searches for sniffio in each request: $without as httpx is installed, $with with sniffio"
[ "$without" != 0.0 ] && [ "$with" = 0.0 ]
