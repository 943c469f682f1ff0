#!/usr/bin/env bash
# sentry_sdk.init(), told no address to report to, adds two headers to each request of the program, to whomever it goes.
#
# Without a DSN Sentry is guessed to do nothing, and it sends no report. It patches http.client, httpx and others all the
# same, and each request carries `sentry-trace` and `baggage`, whether tracing was asked for or not: an id that is the
# process's own, the release and the environment's name. APIs and the receivers of webhooks get them, and can tell
# which requests come from one program. `trace_propagation_targets=[]` names nobody.
# Seen with sentry-sdk 2.75.0: by httpx, requests and urllib; none without init, and none with that option.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq sentry-sdk==2.75.0 httpx==0.28.1 requests==2.34.2 || exit 2
cd "$work" && cat >asking.py <<'END'
import json, sys, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import httpx, requests, sentry_sdk

got = []

class Stranger(BaseHTTPRequestHandler):
    def do_GET(self):
        got.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"
if sys.argv[1] != "none":
    sentry_sdk.init(release="stemwatch@1.4", environment="at-ann", **json.loads(sys.argv[1]))
httpx.get(url)
requests.get(url)
urllib.request.urlopen(url).close()
print(json.dumps([{name: asked[name] for name in ("sentry-trace", "baggage") if name in asked} for asked in got]))
END
venv/bin/python - <<'END'
import json, subprocess, sys
from importlib.metadata import version

def headers(how):
    """What Sentry adds to a request of httpx, requests and urllib each."""
    done = subprocess.run([sys.executable, "asking.py", how], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)

plain, silent, off = headers("{}"), headers('{"trace_propagation_targets": []}'), headers("none")
print("version:  sentry-sdk", version("sentry-sdk"))
print("expected: nothing, as there is nobody to report to")
for name, asked in zip(("httpx", "requests", "urllib"), plain):
    print(f"seen:     {name:8} " + "; ".join(f"{header}: {value}" for header, value in asked.items()))
print("          without init", off, "and with no targets", silent)
ids = {asked.get("sentry-trace", "").split("-")[0] for asked in plain}
told = all("release=stemwatch%401.4" in (said := asked.get("baggage", "")) and "at-ann" in said for asked in plain)
sys.exit(0 if told and len(ids) == 1 and "" not in ids and off == silent == [{}, {}, {}] else 1)
END
