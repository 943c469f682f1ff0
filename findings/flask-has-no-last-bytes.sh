#!/usr/bin/env bash
# Flask answers 416 to who asks for the last 128 KiB of a file that is smaller; the standard says: all of it.
#
# RFC 9110 means the whole file where it is shorter than what is asked for from its end. Werkzeug says that
# there is no such range. Programs look so for what stands at a file's end: an index, or tags. Starlette,
# aiohttp and Falcon send the whole file as 206. From the start Werkzeug does clip: 0-131071 is 206.
# Seen with Flask 3.1.3 and Werkzeug 3.1.9: `bytes=-131072` of 100 bytes is 416; `bytes=0-131071` is 206.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq flask==3.1.3 werkzeug==3.1.9 starlette==1.10.0 httpx==0.28.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import asyncio, pathlib, sys
from importlib.metadata import version
import flask, httpx
from starlette.applications import Starlette
from starlette.staticfiles import StaticFiles

pathlib.Path("static").mkdir()
pathlib.Path("static/cover.jpg").write_bytes(bytes(range(100)))
RANGES = ("bytes=-10", "bytes=-100", "bytes=-131072", "bytes=0-131071")

def by_flask():
    client = flask.Flask("songs", root_path=".").test_client()
    answers = [client.get("/static/cover.jpg", headers={"Range": asked}) for asked in RANGES]
    return [(answer.status_code, len(answer.data) if answer.status_code == 206 else 0) for answer in answers]

async def by_starlette():
    app = Starlette()
    app.mount("/static", StaticFiles(directory="static"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://nas") as client:
        answers = [await client.get("/static/cover.jpg", headers={"Range": asked}) for asked in RANGES]
    return [(answer.status_code, len(answer.content)) for answer in answers]

flasks, starlettes = by_flask(), asyncio.run(by_starlette())
print("versions: Flask", version("flask"), "Werkzeug", version("werkzeug"), "Starlette", version("starlette"))
print("expected: 206 and what there is, for each")
for asked, one, other in zip(RANGES, flasks, starlettes):
    print(f"seen:     {asked:15} of 100 bytes: Flask {one[0]}, {one[1]} bytes; Starlette {other[0]}, {other[1]} bytes")
right = [(206, 10), (206, 100), (206, 100), (206, 100)]
sys.exit(0 if starlettes == right and flasks == [*right[:2], (416, 0), right[3]] else 1)
END
