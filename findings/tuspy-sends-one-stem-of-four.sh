#!/usr/bin/env bash
# Of four stems that begin with silence tuspy sends the first, and says of the other three that they are sent.
#
# With store_url=True an upload that broke off goes on where it was. Which file it is, tuspy knows by its size and an MD5
# of its first 64 KiB: 0.37 seconds of a WAV. Stems of one song are equally long, and most begin with silence. The
# server has already all of such a file, it seems; each of the four gets the first one's URL, and no error.
# A fingerprinter of one's own, which reads the file to its end, tells them apart; so does a song's time and name.
# Seen with tuspy 1.1.0: one upload for four stems, and of bass.wav the server has the bytes of vocals.wav.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq tuspy==1.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import hashlib, math, struct, sys, threading, wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from tusclient.client import TusClient
from tusclient.fingerprint.interface import Fingerprint
from tusclient.storage.filestorage import FileStorage

uploads = []

class Tus(BaseHTTPRequestHandler):
    """A tus server with the least that the protocol asks for."""

    def answer(self, status, **headers):
        self.send_response(status)
        for name, value in {"Tus-Resumable": "1.0.0", "Content-Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, *args):
        pass

    def do_POST(self):
        uploads.append(b"")
        self.answer(201, Location=f"/files/{len(uploads) - 1}")

    def do_HEAD(self):
        self.answer(200, Upload_Offset=str(len(uploads[int(self.path.split("/")[-1])])))

    def do_PATCH(self):
        which = int(self.path.split("/")[-1])
        assert int(self.headers["Upload-Offset"]) == len(uploads[which])
        uploads[which] += self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(204, Upload_Offset=str(len(uploads[which])))

class WholeFile(Fingerprint):
    def get_fingerprint(self, fs):
        return hashlib.file_digest(fs, "sha256").hexdigest()

server = ThreadingHTTPServer(("127.0.0.1", 0), Tus)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = TusClient(f"http://127.0.0.1:{server.server_port}/files/")
tones, rest = {"vocals": 440, "drums": 110, "bass": 55, "other": 880}, int(44_100 * 0.5)
for name, hertz in tones.items():
    sound = (int(9_000 * math.sin(math.tau * hertz * n / 44_100)) for n in range(44_100))
    with wave.open(name + ".wav", "wb") as file:
        file.setparams((2, 2, 44_100, 0, "NONE", ""))
        file.writeframes(bytes(4 * rest) + b"".join(struct.pack("<hh", s, s) for s in sound))

def send_all(store, fingerprinter):
    """({stem: whether the server has its bytes at the URL that tuspy tells}, how many uploads there were)."""
    uploads.clear()
    arrived, kept = {}, FileStorage(store)
    for name in tones:
        uploader = client.uploader(name + ".wav", store_url=True, url_storage=kept, fingerprinter=fingerprinter)
        uploader.upload()
        mine = Path(name + ".wav").read_bytes()
        assert uploader.offset == len(mine)
        arrived[name] = uploads[int(uploader.url.split("/")[-1])] == mine
    kept.close()
    return arrived, len(uploads)

print("version:  tuspy", version("tuspy"))
print("expected: four stems of 1.5 seconds, each begins with half a second of silence, are four uploads")
usual, by_all = send_all("usual.json", None), send_all("whole.json", WholeFile())
for what, (arrived, count) in (("seen:    ", usual), ("          by a hash of the whole file:", by_all)):
    print(f"{what} {count} uploads; the server has", ", ".join(name for name in arrived if arrived[name]))
server.shutdown()
fine = by_all == (dict.fromkeys(tones, True), 4)
sys.exit(0 if fine and usual == ({**dict.fromkeys(tones, False), "vocals": True}, 1) else 1)
END
