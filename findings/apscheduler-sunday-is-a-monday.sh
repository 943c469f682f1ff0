#!/usr/bin/env bash
# "0 3 * * 0" is Sunday night for cron, croniter and huey, and Monday night for APScheduler's from_crontab.
#
# APScheduler counts the days of the week from Monday, also in a line that it was given as a crontab's, and
# takes no 7. "1-5" is Tuesday to Saturday. And where a line names a day of the month too, cron asks for one of
# the two, APScheduler for both. `sun` and `mon-fri` mean the same to all.
# Seen with APScheduler 3.11.3 and croniter 7.0.0: of five lines that name days by numbers none agrees.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq apscheduler==3.11.3 croniter==7.0.0 huey==3.5.4 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from apscheduler.triggers.cron import CronTrigger
from croniter import croniter
from huey import crontab

START = datetime(2026, 11, 1, tzinfo=timezone.utc)
DAYS = [START + timedelta(days=number, hours=3) for number in range(28)]  # four weeks from a Sunday on

def by_apscheduler(line):
    trigger, last = CronTrigger.from_crontab(line, timezone="UTC"), None
    found, moment = [], START
    while (last := trigger.get_next_fire_time(last, moment)) and last <= DAYS[-1]:
        found.append(last)
        moment = last + timedelta(seconds=1)
    return found

def by_croniter(line):
    return [day for day in DAYS if croniter.match(line, day)]

def by_huey(line):
    due = crontab(**dict(zip(("minute", "hour", "day", "month", "day_of_week"), line.split())))
    return [day for day in DAYS if due(day)]

def told(days):
    return f"{len(days):2} times, first {days[0]:%a %d}" if days else "never"

print("versions:", *(f"{name} {version(name)}" for name in ("apscheduler", "croniter", "huey")))
print("expected: the same days of November 2026")
lines = "0 3 * * 0", "0 3 * * 1", "0 3 * * 1-5", "0 3 * * 6", "0 3 13 * 5"
seen = {line: (by_apscheduler(line), by_croniter(line)) for line in (*lines, "0 3 * * sun", "0 3 * * mon-fri")}
for line, (one, other) in seen.items():
    print(f"seen:     {line:15} APScheduler {told(one):25} croniter {told(other)}")
same = [line for line, (one, other) in seen.items() if one == other]
as_huey = all(by_huey(line) == seen[line][1] for line in lines[:4])
sys.exit(0 if same == ["0 3 * * sun", "0 3 * * mon-fri"] and as_huey else 1)
END
