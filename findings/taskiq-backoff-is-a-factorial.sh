#!/usr/bin/env bash
# taskiq's exponential backoff waits 5, 10, 30, 120, 600, 3600 seconds, or 5, 10, 15, 20: by who carries the delay.
#
# One guesses 5, 10, 20, 40: a factor of two at each try. SmartRetryMiddleware multiplies the delay by the number of the
# try. Without a schedule source it writes the product back into the label `delay`, from which the next one
# is made: a factorial. With a schedule source nothing is written back: a straight line. And of max_retries=7 six are seen:
# it counts tries; max_retries=1 never tries again. Who pays for requests wants to know both: compute the delays oneself.
# Seen with taskiq 0.13.0: use_delay_exponent=True, default_delay=5, no jitter.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq taskiq==0.13.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import asyncio, logging, sys
from datetime import UTC, datetime
from importlib.metadata import version
from taskiq import InMemoryBroker, ScheduleSource, SmartRetryMiddleware, TaskiqMiddleware

logging.disable(logging.CRITICAL)

class Later(ScheduleSource):
    """Keeps what is to be run later."""

    def __init__(self):
        self.kept = []

    async def get_schedules(self):
        return self.kept

    async def add_schedule(self, schedule):
        self.kept.append(schedule)

class Labels(TaskiqMiddleware):
    """Sees the delay with which each message goes to the broker."""

    def __init__(self):
        self.seen = []

    def pre_send(self, message):
        self.seen.append(message.labels.get("delay"))
        return message

async def delays(source, max_retries):
    """The seconds before each further try of a task that always fails."""
    labels = Labels()
    retries = SmartRetryMiddleware(
        default_delay=5, use_jitter=False, use_delay_exponent=True, max_delay_exponent=10_000, schedule_source=source
    )
    broker = InMemoryBroker(await_inplace=True).with_middlewares(retries, labels)

    @broker.task(retry_on_error=True, max_retries=max_retries)
    async def separate():
        raise OSError("the service is away")

    await broker.startup()
    await separate.kiq()
    found = []
    while source and source.kept: # its time has come
        due = source.kept.pop()
        found.append(round((due.time - datetime.now(UTC)).total_seconds()))
        await broker.find_task(due.task_name).kicker().with_labels(**due.labels).kiq()
    await broker.wait_all()
    await broker.shutdown()
    return found or [round(float(delay)) for delay in labels.seen[1:]]

by_label, by_source = asyncio.run(delays(None, 7)), asyncio.run(delays(Later(), 7))
once = asyncio.run(delays(None, 1))
print("version:  taskiq", version("taskiq"))
print("expected: seven retries, after 5, 10, 20, 40, 80, 160, 320 seconds")
print("seen:     by the label:          ", by_label)
print("          by a schedule source:  ", by_source)
print("          max_retries=1:         ", once)
same = by_label == [5, 10, 30, 120, 600, 3600] and by_source == [5, 10, 15, 20, 25, 30]
sys.exit(0 if same and once == [] else 1)
END
