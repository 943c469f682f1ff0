#!/usr/bin/env bash
# `systemd-analyze verify` exits 0 for a unit whose hardening is misspelt.
#
# The unknown key is named on stderr and ignored, by the check and by systemd: a service that reads
# `ProtectSytem=strict` runs unprotected. Only --recursive-errors=yes makes it a failure. systemd is
# not installed by this script.
set -eu
command -v systemd-analyze >/dev/null || { echo "no systemd-analyze here" >&2; exit 2; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
printf '%s\n' '[Unit]' 'Description=made' '[Service]' 'ExecStart=/bin/true' 'ProtectSytem=strict' \
    >"$work/made.service"
code() { systemd-analyze verify --man=no "$@" "$work/made.service" 2>"$work/said" && echo 0 || echo $?; }
plain=$(code)
said=$(sed "s|$work/||" "$work/said")
strict=$(code --recursive-errors=yes)
echo "version:  $(systemd-analyze --version | head -n 1)"
echo "expected: a check that finds a fault exits with another code than 0"
echo "seen:     exit $plain, having said: $said"
echo "          exit $strict with --recursive-errors=yes"
[ "$plain" = 0 ] && [ -n "$said" ] && [ "$strict" != 0 ]
