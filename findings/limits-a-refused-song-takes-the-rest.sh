#!/usr/bin/env bash
# A song of 20 minutes for which limits finds no room takes the 10 minutes that were left: the next one of 5 is refused.
#
# `hit(item, cost=...)` answers "True if cost could be deducted without exceeding it". FixedWindowRateLimiter adds
# first and compares then: what it refuses is counted. The moving and the sliding window take nothing when they
# refuse. A budget of minutes an hour is used up by one long song that never was sent, and get_window_stats says so.
# Asking `test` before `hit` helps, where nobody else asks between the two.
# Seen with limits 5.8.0: FixedWindow has 0 of 60 left after a refusal, the other two have 10.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq limits==5.8.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from importlib.metadata import version
import limits
from limits import strategies
from limits.storage import MemoryStorage

minutes = limits.parse("60/hour")

def budget(strategy, ask_first=False):
    """(were songs of 50, 20 and 5 minutes let through?, how many minutes were left after the second)."""
    limiter, answers, left = strategy(MemoryStorage()), [], None
    for cost in (50, 20, 5):
        room = not ask_first or limiter.test(minutes, "songs", cost=cost)
        answers.append(room and limiter.hit(minutes, "songs", cost=cost))
        if cost == 20:
            left = limiter.get_window_stats(minutes, "songs").remaining
    return answers, left

print("version:  limits", version("limits"))
print("expected: of 60 minutes an hour 50 are let through, 20 refused, and 5 let through: 10 were left")
windows = [
    strategies.FixedWindowRateLimiter,
    strategies.MovingWindowRateLimiter,
    strategies.SlidingWindowCounterRateLimiter,
]
fixed, *others = seen = [budget(window) for window in windows]
asked = budget(windows[0], ask_first=True)
for window, (answers, left) in zip(windows, seen):
    print(f"seen:     {window.__name__:31} {answers}, left after the refusal: {left}")
print(f"          {'the first, asked by test before':31} {asked[0]}, left after the refusal: {asked[1]}")
right = ([True, False, True], 10)
sys.exit(0 if fixed == ([True, False, False], 0) and others == [right, right] and asked == right else 1)
END
