#!/usr/bin/env bash
# starlette sends an ETag with each file, and answers 200 and the whole file to who has it already.
#
# Its FileResponse makes ETag and Last-Modified, but looks at neither If-None-Match nor
# If-Modified-Since. A Range in a unit that it does not know is a 400, where RFC 9110 says "ignore".
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq starlette==1.10.0 httpx==0.28.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import asyncio, pathlib, sys
import httpx, starlette
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

pathlib.Path("stem.wav").write_bytes(bytes(100_000))

async def stem(request):
    return FileResponse("stem.wav")

async def asked():
    transport = httpx.ASGITransport(app=Starlette(routes=[Route("/stem", stem)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://nas") as client:
        first = await client.get("/stem")
        again = await client.get("/stem", headers={"If-None-Match": first.headers["etag"]})
        unit = await client.get("/stem", headers={"Range": "frames=0-9"})
        return first.headers["etag"], again.status_code, len(again.content), unit.status_code

etag, again, size, unit = asyncio.run(asked())
print("version:  starlette", starlette.__version__)
print("expected: 304 and no body for a known ETag; 200 for an unknown range unit")
print(f"seen:     ETag {etag}; asked again with it: {again} and {size} bytes; unknown unit: {unit}")
sys.exit(0 if (again, size, unit) == (200, 100_000, 400) else 1)
END
