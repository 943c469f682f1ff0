#!/usr/bin/env bash
# tenacity's `wait_exponential_jitter` has no jitter any more once its longest wait is reached.
#
# The jitter is added first, and the sum is cut at `max`. In a long outage, which is what jitter is there for,
# all clients wait for exactly `max` seconds: those that failed together come back together, each time.
# A test of the first waits sees them spread. `wait_random_exponential`, or `wait_exponential(...) +
# wait_random(...)`, keep them apart.
# Seen with tenacity 9.2.1: of 1,000 waits after the second failure all differ; after the ninth all are 60 s.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq tenacity==9.2.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
from tenacity import RetryCallState, Retrying, wait_exponential_jitter, wait_random_exponential

def waits(strategy, attempt):
    """The waits of a thousand clients after the same failed attempt."""
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = attempt
    return [strategy(state) for _ in range(1_000)]

jittered = wait_exponential_jitter(initial=1, max=60, jitter=10)
early, late = waits(jittered, 2), waits(jittered, 9)
other = waits(wait_random_exponential(multiplier=1, max=60), 9)
print("version:  tenacity", version("tenacity"))
print("expected: jitter=10 spreads the clients over ten seconds at each attempt")
print(f"seen:     after the second failure {len(set(early))} waits, {min(early):.1f} to {max(early):.1f} s")
print(f"          after the ninth {len(set(late))}: {min(late):.1f} to {max(late):.1f} s")
print(f"          of wait_random_exponential {len(set(other))}, {min(other):.1f} to {max(other):.1f} s")
sys.exit(0 if len(set(early)) > 900 and set(late) == {60} and len(set(other)) > 900 else 1)
END
