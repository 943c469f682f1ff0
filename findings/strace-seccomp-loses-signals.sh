#!/usr/bin/env bash
# A signal that strace injects at a call is lost once --seccomp-bpf makes strace quick; an injected error is not.
#
# --seccomp-bpf stops a program at the traced calls alone, so a test that kills it at the third rename, or fails that
# rename, runs several times as fast and means the same, one guesses. The error arrives. The kill does not, and no
# other signal: the rename succeeds, the program ends well, and strace's own line shows nothing of it. A sweep that kills
# a service at each of its calls would pass without one kill.
# Who injects signals leaves the option out, and counts the kills that were met.
# Seen with strace 6.1, on Linux 6.18. It needs strace, and leave to trace.
set -eu
command -v strace > /dev/null || exit 2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" && "${PYTHON:-python3}" - <<'END'
import os, platform, subprocess, sys

def met(how, *options):
    """How a program ended that renames a file, and whether the file has its new name."""
    open("song.part", "w").close()
    inject = ["-e", "trace=rename", "-e", f"inject=rename:{how}", "-o", "log"]
    renames = [sys.executable, "-c", "import os; os.rename('song.part', 'song.wav')"]
    done = subprocess.run(["strace", "-f", *options, "-qq", *inject, *renames], stderr=subprocess.DEVNULL)
    shown = os.path.exists("song.wav")
    for name in os.listdir():
        os.remove(name)
    return done.returncode, shown

version = subprocess.run(["strace", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
print("versions:", version + ", Linux", platform.release())
print("expected: the option makes it quicker, and nothing else")
seen = {}
for how in ("signal=SIGKILL", "signal=SIGTERM", "error=EIO"):
    for options in ((), ("--seccomp-bpf",)):
        seen[how, options] = code, shown = met(how, *options)
        print(f"seen:     {how:14} {' '.join(options):13} exit {code:4}, the file {'has' if shown else 'has not'} its new name")
slow, quick = (), ("--seccomp-bpf",)
ok = seen["signal=SIGKILL", slow] == (-9, False) and seen["signal=SIGTERM", slow][0] == -15
ok = ok and seen["signal=SIGKILL", quick] == seen["signal=SIGTERM", quick] == (0, True)
sys.exit(0 if ok and seen["error=EIO", slow] == seen["error=EIO", quick] == (1, False) else 1)
END
