#!/usr/bin/env bash
# A request that a route's handler is still holding is sent to the server by `unroute`.
#
# A handler that neither continues, fulfils nor aborts its request keeps it from the server, so a test
# can show what a page does while it waits. Taking the last route away does not end that request: the
# interception is switched off, and Chromium then sends all that was paused. A test that goes on with
# the server finds a request there that nobody seems to have made. Abort what is held first.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
browser=$(command -v chromium-headless-shell || command -v chromium) ||
    { echo "needs a Chromium: apt-get install chromium-headless-shell" >&2; exit 2; }
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq playwright==1.65.2 || exit 2
cat >"$work/held.py" <<'END'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from playwright.sync_api import sync_playwright

seen = []
class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        seen.append(self.path)
        self.send_response(204 if self.path == "/song" else 200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
with sync_playwright() as driver:
    browser = driver.chromium.launch(executable_path=sys.argv[1])
    tab = browser.new_page()
    tab.goto(f"http://127.0.0.1:{server.server_port}/")
    for way in ("unroute", "abort, then unroute"):
        held = []
        tab.route("**/song", lambda route: held.append(route))  # neither continued nor answered
        tab.evaluate("() => { fetch('/song').catch(() => {}) }")
        while not held:
            tab.wait_for_timeout(20)
        if way != "unroute":
            held[0].abort()
        tab.unroute("**/song")
        tab.evaluate("() => fetch('/behind')")  # by then an earlier request has come
        tab.wait_for_timeout(500)
        print(f"{way}: the server saw {seen.count('/song')} of the held request")
        seen.clear()
    browser.close()
END
"$work/venv/bin/python" "$work/held.py" "$browser" >"$work/seen"
echo "version:  playwright 1.65.2, $("$browser" --version 2>/dev/null | head -n 1)"
echo "expected: 0 either way, as nothing let the request go"
sed 's/^/seen:     /' "$work/seen"
grep -q "^unroute: the server saw 1" "$work/seen" && grep -q "^abort, then unroute: the server saw 0" "$work/seen"
