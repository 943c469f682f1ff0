#!/usr/bin/env bash
# A gauge of what waits for another try, kept by a hook of stamina, says -21 once three songs were tried three times each.
#
# A hook may return a context manager: it is entered when a wait begins and left when it ends, as
# prometheus_client's track_inprogress() is. stamina keeps those it entered in one list for each decorated function, for
# ever. Before each try it leaves all of them again, those of other calls and of years ago too. A @contextmanager doesn't
# mind; a gauge, a counter or a lock does. Let a hook return nothing, or a context that can be left but once.
# Seen with stamina 26.1.0: six waits are entered, and left 27 times; 9 times with a RetryingCaller, whose list lasts for
# one call.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq stamina==26.1.0 prometheus-client==0.26.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from contextlib import AbstractContextManager
from importlib.metadata import version
import stamina
from prometheus_client import Gauge
from stamina.instrumentation import set_on_retry_hooks

no_wait = {"wait_initial": 0, "wait_jitter": 0, "wait_max": 0}
waiting, counts = Gauge("waiting", "Songs that wait for another try"), {"entered": 0, "left": 0}

class Counting(AbstractContextManager):
    def __enter__(self):
        counts["entered"] += 1

    def __exit__(self, *error):
        counts["left"] += 1

def send(tries):
    tries.append(1)
    if len(tries) < 3:
        raise OSError("the service is away")

decorated = stamina.retry(on=OSError, attempts=3, **no_wait)(send)
calling = stamina.RetryingCaller(attempts=3, **no_wait)
ways = {"@retry": lambda: decorated([]), "RetryingCaller": lambda: calling(OSError, send, [])}
gauges = {}
print("versions: stamina", version("stamina") + ",", "prometheus_client", version("prometheus_client"))
print("expected: three songs that succeed at the third try wait six times, and none waits in the end")
for name, way in ways.items():
    waiting.set(0)
    counts.update(entered=0, left=0)
    set_on_retry_hooks([lambda details: waiting.track_inprogress(), lambda details: Counting()])
    for song in range(3):
        way()
    gauges[name] = (int(waiting._value.get()), counts["entered"], counts["left"])
    print(f"seen:     {name}: the gauge says {gauges[name][0]}, entered {counts['entered']}, left {counts['left']}")
sys.exit(0 if gauges["@retry"][0] < -10 and gauges["RetryingCaller"][0] < 0 else 1)
END
