"""The shipped unit for real: `python -m tests.systemd.boot`.

Boots a pristine Debian 12 (debootstrap, cached in $STEMWATCH_TEST_CACHE), installs this checkout
by pip into /opt/stemwatch, runs the very lines that `stemwatch init --systemd` prints, goes through
`STEPS` with the unit as it is shipped, WatchdogSec=60 included, and then through an instance of the
template. Needs root, systemd-container, debootstrap and the network; about four minutes. The suite
goes through the same `STEPS` on this machine's own systemd and /usr, with a WatchdogSec of 6 s.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.support.scenario.caller import make_song
from tests.support.scenario.server import ScenarioServer
from tests.support.waiting import wait_for
from tests.systemd.machine import Machine, debian

KEY = "sk-boot-canary-0123456789abcdef"
UNIT = "stemwatch.service"
SRV, STATE = "srv/stemwatch", "var/lib/stemwatch"
_DROP_IN = "/etc/systemd/system/stemwatch.service.d"


class Booted:
    """The machine, the API that its service talks to, and the seconds of its WatchdogSec."""

    def __init__(self, machine: Machine, server: ScenarioServer, watchdog: float) -> None:
        self.machine, self.server, self.watchdog = machine, server, watchdog
        self.folders = machine.root / SRV

    def edit(self, **lines: str) -> None:
        """A drop-in with these settings of [Service]."""
        text = "[Service]\n" + "".join(f"{name}={value}\n" for name, value in lines.items())
        folder = self.machine.root / _DROP_IN.lstrip("/")
        folder.mkdir(exist_ok=True)
        (folder / "test.conf").write_text(text)
        self.machine.run("systemctl", "daemon-reload")

    def states(self) -> list[str]:
        path = f"file:{self.machine.root / STATE / 'journal.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(path, uri=True)) as db:
            return [row[0] for row in db.execute("SELECT state FROM jobs ORDER BY id")]

    def submitted(self) -> bool:
        return any("finished" in post for post in self.server.requests("post"))


def set_up(booted: Booted) -> None:
    """The commands of `init --systemd`, word for word, give a service that is ready."""
    machine = booted.machine
    lines = machine.run("/opt/stemwatch/bin/stemwatch", "init", "--systemd").stdout
    start = lines.index("sudo systemctl daemon-reload")
    script = lines[:start].replace("/dev/stdin", "/key")
    (machine.root / "key").write_text(KEY + "\n")
    machine.run("sh", "-euc", 'sudo() { "$@"; }\n' + script)
    (machine.root / "key").unlink()
    config = machine.root / "etc/stemwatch/config.yaml"
    text = config.read_text()
    text = re.sub("base_url: .*", f"base_url: {booted.server.url}", text)
    text = re.sub("settle_seconds: .*", "settle_seconds: 0.2", text)
    text = re.sub("poll_interval: .*", "poll_interval: 0.2", text)
    config.write_text(re.sub("rescan_seconds: .*", "rescan_seconds: 1", text))
    if booted.watchdog != 60:  # all three in the same proportion
        booted.edit(WatchdogSec=f"{booted.watchdog}", RestartSec=f"{booted.watchdog / 6}")
    machine.run("systemctl", "enable", "--now", UNIT)
    assert machine.show(UNIT, "SubState") == "running"
    assert machine.show(UNIT, "NRestarts") == "0", machine.log(UNIT)


def the_printed_check_looks_as_the_service(booted: Booted) -> None:
    """A configuration that is root's alone stops the service: it is told, and how to mend it."""
    machine = booted.machine
    if machine.run("systemctl", "is-active", "dbus.socket", check=False).returncode:
        return  # systemd-run waits for its unit over D-Bus, which a small tree may lack
    lines = machine.run("/opt/stemwatch/bin/stemwatch", "init", "--systemd").stdout
    (command,) = re.findall(r"#   sudo (systemd-run .* check .*)", lines)
    config = machine.root / "etc/stemwatch/config.yaml"
    config.chmod(0o600)
    told = machine.run("sh", "-c", command, check=False)
    assert told.returncode == 78, told
    machine.run("sh", "-euc", re.findall("`(chgrp .*?)`", told.stdout)[0])
    told = machine.run("sh", "-c", command)
    assert "key: found in /run/credentials/" in told.stdout
    assert (machine.root / STATE).stat().st_mode & 0o777 == 0o750  # as the unit has it
    assert config.stat().st_mode & 0o777 == 0o640  # and as it is read again at the next reload


def songs_go_through(booted: Booted) -> None:
    """One to the outbox, its original to the archive, a broken one to quarantine; in one line."""
    inbox = booted.folders / "inbox"
    make_song(inbox / "song.wav")
    (inbox / "broken.mp3").write_bytes(b"no song at all" * 999)
    told = "0 separating, 0 waiting, 1 done today, 1 in quarantine"
    show = booted.machine.show
    wait_for(lambda: show(UNIT, "StatusText") == told, what=booted.machine.log(UNIT))
    assert (booted.folders / "outbox/song/song.stemwatch.json").is_file()
    assert (booted.folders / "archive/song.wav").is_file()
    assert (booted.folders / "quarantine/broken.mp3.reason.json").is_file()
    assert list(inbox.glob("*.*")) == []
    # One parent in ReadWritePaths: moves are renames, so the file keeps its number.
    assert "separate_mounts" not in booted.machine.log(UNIT)


def the_key_is_nobody_elses(booted: Booted) -> None:
    """Another account reads it nowhere: its file, the credential, arguments, environment, log."""
    machine = booted.machine
    pid = machine.show(UNIT, "MainPID")
    places = ["/etc/stemwatch/api-key", f"/run/credentials/{UNIT}/api-key", f"/proc/{pid}/environ"]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for place in places:
        assert machine.run("test", "-r", place).returncode == 0  # it is there
        assert machine.run(*nobody, "cat", place, check=False).returncode != 0, place
    assert KEY not in machine.run("cat", f"/proc/{pid}/cmdline", f"/proc/{pid}/environ").stdout
    assert KEY not in machine.log(UNIT)
    assert (machine.root / "etc/stemwatch/api-key").read_text().strip() == KEY
    posts = booted.server.requests("post")
    assert {post["headers"].get("authorization") for post in posts} == {f"Bearer {KEY}"}


def a_reload_is_taken_over(booted: Booted) -> None:
    """`systemctl reload` as the hardened unit has it; a faulty file changes nothing."""
    machine = booted.machine
    config = machine.root / "etc/stemwatch/config.yaml"
    good = config.read_text()
    pid = machine.show(UNIT, "MainPID")
    config.write_text(good.replace("stems: 2", "stems: 5"))
    machine.run("systemctl", "reload", UNIT)
    wait_for(lambda: "the old one stays" in machine.show(UNIT, "StatusText"))
    config.write_text(good.replace("stems: 2", "stems: 4"))
    machine.run("systemctl", "reload", UNIT)
    wait_for(lambda: "config.reloaded" in machine.log(UNIT))
    assert machine.show(UNIT, "ActiveState") == "active"
    assert machine.show(UNIT, "MainPID") == pid


def a_hung_loop_is_killed_and_started_again(booted: Booted) -> None:
    """Within 1.5 x WatchdogSec: from the hang to the next process; in life to its READY too.

    (With a WatchdogSec of seconds, a busy machine may need longer than that for the start alone.)
    """
    machine = booted.machine
    pid = machine.show(UNIT, "MainPID")
    began = time.monotonic()
    machine.run("kill", "-USR1", pid)

    limit = 1.5 * booted.watchdog
    wait_for(lambda: machine.show(UNIT, "MainPID") not in (pid, "0"), timeout=limit + 60)
    # systemd's own word: on a busy machine each question for it takes seconds.
    started = int(machine.show(UNIT, "ExecMainStartTimestampMonotonic"))  # microseconds
    took = started / 1e6 - began
    assert took <= limit, took
    wait_for(lambda: machine.show(UNIT, "SubState") == "running")
    ready = time.monotonic() - began
    print(f"hung; started after {took:.1f} s, ready after {ready:.1f} s of {limit:g} s", flush=True)
    assert ready <= limit or booted.watchdog < 60, ready
    assert machine.show(UNIT, "NRestarts") == "1"
    assert "watchdog" in machine.run("journalctl", "-u", UNIT, "--no-pager").stdout.lower()


def a_stop_waits_for_what_is_paid(booted: Booted) -> None:
    """The answer comes after TimeoutStopSec is over: asked for, the time is given."""
    machine = booted.machine
    booted.edit(TimeoutStopSec="1", WatchdogSec=f"{booted.watchdog}")
    booted.server.scenario(post=[{"delay": 3.0}])
    before = len(booted.server.requests("post"))
    make_song(booted.folders / "inbox/late.wav", name="late")
    wait_for(lambda: [p for p in booted.server.requests("post")[before:] if "finished" in p])
    machine.run("systemctl", "stop", UNIT)
    assert machine.show(UNIT, "Result") == "success", machine.log(UNIT)
    assert sorted(booted.states()) == ["done", "quarantined", "separating"]


def a_stop_is_quick_otherwise(booted: Booted) -> None:
    """Nothing under way: started, stopped, and what was left goes on at the next start."""
    machine = booted.machine
    machine.run("systemctl", "start", UNIT)
    wait_for(lambda: sorted(booted.states()) == ["done", "done", "quarantined"])
    began = time.monotonic()
    machine.run("systemctl", "stop", UNIT)
    assert time.monotonic() - began < 5
    assert machine.show(UNIT, "Result") == "success"


def an_instance_of_the_template_runs_beside_it(booted: Booted) -> None:
    """stemwatch@dj with folders, configuration and journal of its own."""
    machine, unit = booted.machine, "stemwatch@dj.service"
    units = machine.run("/opt/stemwatch/bin/stemwatch", "init", "--systemd").stdout
    template = re.findall(r"(\S+)/stemwatch\.service", units)[0] + "/stemwatch@.service"
    machine.run("cp", template, "/etc/systemd/system/")
    init = ["/opt/stemwatch/bin/stemwatch", "init", "--folders", "/srv/stemwatch/dj"]
    machine.run(*init, "/etc/stemwatch/dj.yaml")
    machine.run("chown", "-R", "stemwatch:stemwatch", "/srv/stemwatch/dj")
    config = machine.root / "etc/stemwatch/dj.yaml"
    text = re.sub("base_url: .*", f"base_url: {booted.server.url}", config.read_text())
    config.write_text(re.sub("settle_seconds: .*", "settle_seconds: 0.2", text))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "start", unit)
    make_song(booted.folders / "dj/inbox/other.wav", name="other")
    wait_for(lambda: (booted.folders / "dj/archive/other.wav").exists(), what=machine.log(unit))
    assert (machine.root / "var/lib/stemwatch-dj/journal.sqlite3").is_file()
    machine.run("systemctl", "stop", unit)
    assert machine.show(unit, "Result") == "success"


STEPS: tuple[Callable[[Booted], None], ...] = (
    set_up,
    the_printed_check_looks_as_the_service,
    songs_go_through,
    the_key_is_nobody_elses,
    a_reload_is_taken_over,
    a_hung_loop_is_killed_and_started_again,
    a_stop_waits_for_what_is_paid,
    a_stop_is_quick_otherwise,
)


def main() -> int:
    cache = Path(os.environ.get("STEMWATCH_TEST_CACHE", "/var/cache/stemwatch-test"))
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="boot-") as folder:
        root = Path(folder, "root")
        root.mkdir()
        options = debian(cache, root)
        with ScenarioServer(key=KEY, job_seconds=0.2) as server, Machine(root, options) as machine:
            print(machine.run("systemctl", "--version").stdout.splitlines()[0])
            booted = Booted(machine, server, 60.0)
            for step in (*STEPS, an_instance_of_the_template_runs_beside_it):
                began = time.monotonic()
                step(booted)
                print(f"{step.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
