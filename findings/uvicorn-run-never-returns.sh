#!/usr/bin/env bash
# The line after `uvicorn.run(app)` is never reached when SIGTERM stops the server in good order.
#
# uvicorn finishes, puts the old signal handlers back, and raises the signal once more: by default it
# kills the process. `finally` and `atexit` don't run, and a graceful end has the status of a kill.
# Seen with uvicorn 0.54.0: started, stopped; status -15.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq uvicorn==0.54.0 || exit 2
cat >"$work/serve.py" <<'PYTHON'
import atexit
import uvicorn

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print("started", flush=True)
        await receive()
        print("stopped", flush=True)
        await send({"type": "lifespan.shutdown.complete"})

atexit.register(print, "exiting", flush=True)
try:
    uvicorn.run(app, port=0, log_level="error")
    print("after", flush=True)
finally:
    print("finally", flush=True)
PYTHON
cd "$work" && venv/bin/python - <<'END'
import importlib.metadata, subprocess, sys

server = subprocess.Popen([sys.executable, "serve.py"], stdout=subprocess.PIPE, text=True)
said = [server.stdout.readline().strip()]
server.terminate()
said += server.communicate(timeout=60)[0].split()
print("version:  uvicorn", importlib.metadata.version("uvicorn"))
print("expected: started, stopped, after, finally, exiting; status 0")
print(f"seen:     {', '.join(said)}; status {server.returncode}")
sys.exit(0 if said == ["started", "stopped"] and server.returncode == -15 else 1)
END
