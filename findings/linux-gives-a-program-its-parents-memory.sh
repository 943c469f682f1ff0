#!/usr/bin/env bash
# A program that needs 2 MB needed 310 MB, says os.wait4, where the one that started it once had 300 MB.
#
# ru_maxrss is guessed to be the program's own peak. Linux keeps it through exec: it begins with the peak of whoever
# started the program, be the memory free again by then. A service that measures the ffmpeg or the engine which it
# starts measures itself. RUSAGE_CHILDREN says the same. VmHWM in /proc/PID/status begins at exec.
# Seen with Linux 6.18 and Python 3.11.7, 3.12.1 and 3.13.0: cat had 2 MB by VmHWM, and 311 to 314 MB by ru_maxrss.
set -eu
[ -r /proc/self/status ] || exit 2
"${PYTHON:-python3}" - <<'END'
import os, platform, subprocess, sys

def started():
    """(ru_maxrss, VmHWM) of a cat that prints its own status, in MB."""
    with subprocess.Popen(["cat", "/proc/self/status"], stdout=subprocess.PIPE, text=True) as cat:
        status = cat.stdout.read()
        _, code, used = os.wait4(cat.pid, 0)
        cat.returncode = code
    own = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return used.ru_maxrss / 1024, int(own.split()[1]) / 1024

small = started()
songs = bytearray(b"s") * (300 << 20)
while_large = started()
del songs
afterwards = started()
with open("/proc/self/status") as file:
    now = int(next(line for line in file if line.startswith("VmRSS")).split()[1]) / 1024
print("versions: Linux", platform.release() + ", Python", platform.python_version())
print("expected: cat needs 2 MB, whoever starts it")
print("seen:     started by a small program    {:4.0f} MB by ru_maxrss, {:.0f} MB by VmHWM".format(*small))
print("          while that one has 300 MB     {:4.0f} MB by ru_maxrss, {:.0f} MB by VmHWM".format(*while_large))
print("          when it has given them back   {:4.0f} MB by ru_maxrss, {:.0f} MB by VmHWM".format(*afterwards)
      + f"; the starter has {now:.0f} MB")
sys.exit(0 if small[0] < 50 and while_large[0] > 300 and afterwards[0] > 300 and now < 50
         and max(small[1], while_large[1], afterwards[1]) < 20 else 1)
END
