#!/usr/bin/env bash
# A POST that the server has read, and then ends the connection over, is sent again by libcurl, and 200 is the answer.
#
# A retry of a POST is guessed to be the caller's own affair: httpx and urllib3 raise an error. libcurl
# takes a used connection that ends without an answer for one that was closed before, and sends all anew. Where
# a server restarts while it works on a song, the song is ordered and paid for twice, and nothing tells. On a first
# connection it is an error. It needs a key against repeats in the request, or FRESH_CONNECT.
# Seen with curl_cffi 0.17.0 and pycurl 7.49.0 (libcurl 8.23.0): the server has the second song twice.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq curl_cffi==0.17.0 pycurl==7.49.0 httpx==0.28.1 urllib3==2.5.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import io, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import curl_cffi, httpx, pycurl, urllib3

got = []  # the bodies, in order

class Server(BaseHTTPRequestHandler):
    """Reads each POST, and answers it, but the first "second": it ends the connection, as a restart does."""
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        got.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if got.count("second") == 1 and got[-1] == "second":
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/songs"

easy = pycurl.Curl()
def by_pycurl(body):
    easy.setopt(easy.URL, url)
    easy.setopt(easy.POSTFIELDS, body)
    easy.perform()
    return easy.getinfo(easy.RESPONSE_CODE)

session, client, pool = curl_cffi.Session(), httpx.Client(), urllib3.PoolManager()
ways = {
    "curl_cffi": lambda body: session.post(url, data=body).status_code,
    "pycurl": by_pycurl,
    "httpx": lambda body: client.post(url, content=body).status_code,
    "urllib3": lambda body: pool.request("POST", url, body=body).status,
}

def ordered(post, *bodies):
    """(what the caller is told of each POST, what the server got)."""
    got.clear()
    told = []
    for body in bodies:
        try:
            told.append(post(body))
        except (httpx.HTTPError, urllib3.exceptions.HTTPError) as error:
            told.append(type(error).__name__)
    return told, list(got)

print("versions: curl_cffi", curl_cffi.__version__ + ",", pycurl.version.split(" Op")[0] + ",",
      "httpx", httpx.__version__ + ",", "urllib3", urllib3.__version__)
print("expected: an error, as the server may have taken the song; it has it once")
seen = {name: ordered(post, "first", "second") for name, post in ways.items()}
for name, (told, had) in seen.items():
    print(f"seen:     {name:9} tells {told}; the server got {had}")
with curl_cffi.Session() as fresh:
    try:
        got.clear()
        new = fresh.post(url, data="second").status_code
    except curl_cffi.exceptions.RequestException as error:
        new = type(error).__name__
print(f"          curl_cffi on a new connection tells {new}; the server got {got}")
twice = ([200, 200], ["first", "second", "second"])
curl = seen["curl_cffi"] == seen["pycurl"] == twice and new != 200 and got == ["second"]
others = all(seen[name][0][1] != 200 and seen[name][1] == ["first", "second"] for name in ("httpx", "urllib3"))
sys.exit(0 if curl and others else 1)
END
