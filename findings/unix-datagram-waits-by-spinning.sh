#!/usr/bin/env bash
# A datagram that waits for a full queue sleeps where its socket was connected, and burns a core where it was not.
#
# sendto() with an address and connect() with send() are two ways to the same letter box, one guesses. While the receiver's
# queue is full (ten datagrams, by Linux's default), poll() knows that only of a connected socket. An unconnected one is
# always writable to it, so Python's timeout asks, tries, is refused, and asks again, some hundred thousand times a second,
# until the time is over. The messages to a service manager (NOTIFY_SOCKET) go this way, and a syslog's.
# Who sends to such a socket with a limit connects it first.
# Seen with CPython 3.11.7 on Linux 6.18, the standard library alone.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cd "$work" && "${PYTHON:-python3}" - <<'END'
import platform, socket, sys, time

WAIT = 1.0 # seconds

def cost(connected):
    """Seconds by the clock, and seconds of CPU, until a datagram to a full queue is given up."""
    name = f"manager-{connected}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        manager.bind(name)
        if connected:
            out.connect(name)
        send = (lambda: out.send(b"WATCHDOG=1")) if connected else (lambda: out.sendto(b"WATCHDOG=1", name))
        out.setblocking(False)
        sent = 0
        while True:
            try:
                send()
            except BlockingIOError:
                break
            sent += 1
        out.settimeout(WAIT)
        began, burnt = time.monotonic(), time.process_time()
        try:
            send()
        except TimeoutError:
            pass
        return sent, time.monotonic() - began, time.process_time() - burnt

print("versions: Python", platform.python_version() + ", Linux", platform.release())
alone, connected = cost(False), cost(True)
print("expected: both wait a second, and cost no CPU")
for told, (sent, waited, burnt) in (("unconnected", alone), ("connected", connected)):
    print(f"seen:     {told}: {sent} datagrams fit; waited {waited:.1f} s, {burnt:.2f} s of them on the CPU")
ok = all(waited >= WAIT * 0.9 for _, waited, _ in (alone, connected))
sys.exit(0 if ok and connected[2] < 0.05 and alone[2] > 5 * connected[2] and alone[2] > 0.1 else 1)
END
