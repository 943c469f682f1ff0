#!/usr/bin/env bash
# A key with a newline at its end, as editors and `echo` leave one in a file, is printed by httpx.
#
# The header is refused, rightly, and the exception holds its whole value. Whoever logs exceptions
# logs the key. So keys are stripped and checked before they come near a header.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq httpx==0.28.1 h11==0.16.0 || exit 2
"$work/venv/bin/python" - <<'END'
import http.server, sys, threading
import h11, httpx

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
try:
    url = f"http://127.0.0.1:{server.server_port}/"
    httpx.get(url, headers={"Authorization": "Bearer made-up-key\n"})
    seen = "no error"
except httpx.HTTPError as fault:
    seen = f"{type(fault).__name__}: {fault}"
print("versions: httpx", httpx.__version__, "with h11", h11.__version__)
print("expected: an error that names the header Authorization, and not its value")
print("seen:    ", seen)
sys.exit(0 if "made-up-key" in seen and "uthorization" not in seen else 1)
END
