"""The first process of the container: becomes PUID:PGID, starts stemwatch, and looks after it.

    entry.py run | check | status ...   the command, its signals passed on, its exit code returned
    entry.py health                     0 if the service answers, for the engine's health check

As process 1 it is handed every process whose parent has died, and collects it: no tini is needed.
Only the standard library, and nothing of stemwatch until the account is changed.
"""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from pathlib import Path
from typing import NoReturn

PROGRAM = str(Path(__file__).resolve().parent / "bin" / "stemwatch")
LISTEN = "127.0.0.1:8080"  # nobody outside of the container reaches it, but the health check does
CONFIGURATION, NO_LISTENER = 78, "  listen: null"
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main(arguments: list[str]) -> int:
    become(os.environ)
    if arguments == ["health"]:
        return healthy()
    if arguments[:1] == ["run"]:
        prepare(os.environ["STEMWATCH_CONFIG"])
    return look_after([PROGRAM, *(arguments or ["run"])])


def become(env: os._Environ[str]) -> None:
    """Give up root for PUID:PGID. Started as another account (`user:`), that one stays."""
    try:
        os.umask(int(env.get("UMASK", "022"), 8))
        uid, gid = int(env.get("PUID", "1000")), int(env.get("PGID", "1000"))
    except ValueError:
        fail("PUID and PGID must be numbers (`id NAME` tells them), UMASK an octal one.")
    if os.geteuid() != 0:
        return
    if uid <= 0 or gid <= 0:
        fail("PUID and PGID must not be root's: give the account that owns the folder.")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def prepare(path: str) -> None:
    """A first start writes the configuration, with the folders beside it, and never again."""
    data = os.path.dirname(path)
    if not os.access(data, os.W_OK | os.X_OK):
        who = f"{os.geteuid()}:{os.getegid()}"
        fail(f"{data} can't be written by {who}; on the host: `chown {who}` its folder.")
    os.makedirs(os.environ.get("STATE_DIRECTORY") or os.path.join(data, "state"), exist_ok=True)
    if os.path.lexists(path):
        return
    from stemwatch import config

    config.write_example(path, data)
    text = Path(path).read_text("utf-8")
    Path(path).write_text(text.replace(NO_LISTENER, f"  listen: {LISTEN}"), "utf-8")
    config.make_folders(config.load(path, env=os.environ), inbox=True)


def look_after(command: list[str]) -> int:
    """Run `command` to its end; collect whatever else ends meanwhile."""
    # Blocked and waited for: a handler that is called right before a wait begins would be run
    # only once that has ended, and a stop would go unheard.
    awaited = {*PASSED_ON, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    # By default, too: one that was ignored where this was started can't be caught by a shell.
    child = os.posix_spawn(
        command[0], command, os.environ, setsigmask=(), setsigdef=list(PASSED_ON)
    )
    while True:
        number = signal.sigwait(awaited)
        if number != signal.SIGCHLD:
            os.kill(child, number)
            continue
        code = collect(child)
        if code is not None:
            return code if code >= 0 else 128 - code


def collect(child: int) -> int | None:
    """Collect all that has ended (one SIGCHLD may stand for several); `child`'s exit code."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)


def healthy() -> int:
    """Ask `/healthz` where `web.listen` is; without one, whether a service holds its lock."""
    from stemwatch import config
    from stemwatch.disks import lock

    settings = config.load(os.environ["STEMWATCH_CONFIG"], env=os.environ)
    if settings.web.listen is None:
        held = lock.is_held(os.path.join(settings.state_dir, "lock"))
        print("running; web.listen is null, so no more is known" if held else "not running")
        return 0 if held else 1
    host, _, port = settings.web.listen.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=8) as answer:
            print(answer.read(200).decode(errors="replace"))
            return 0 if answer.status == 200 else 1
    except OSError as fault:
        print(f"/healthz: {fault}")
        return 1


def fail(message: str) -> NoReturn:
    print(f"stemwatch: {message}", file=sys.stderr)
    sys.exit(CONFIGURATION)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
