#!/usr/bin/env bash
# `if apprise.notify(...) is None: nobody listens` was right for years, and is never true with Apprise 2.
#
# The answer used to be True, False or None (nobody matched). It is an object now, false in both bad
# cases, which equals neither False nor None. And `add` of two addresses of which one is unknown says
# False, and keeps the good one: who tries again has it twice, and its messages come twice.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cat >"$work/told.py" <<'END'
import logging
import apprise

logging.disable()
family = apprise.Apprise()
family.add("json://127.0.0.1:9/", tag="family")
told = family.notify(body="delivered", tag="friends")
both = apprise.Apprise()
added = both.add(["json://127.0.0.1:9/", "nosuch://x"])
print(f"{apprise.__version__}: {type(told).__name__}, false: {not told}, is None: {told is None}; add: {added}, kept: {len(both)}")
END
cd "$work"
for version in 1.9.9 2.3.0; do
    "${PYTHON:-python3}" -m venv "venv$version" || exit 2
    "venv$version/bin/pip" install -qq "apprise==$version" || exit 2
    "venv$version/bin/python" told.py >>seen
done
echo "version:  apprise 1.9.9 and 2.3.0"
echo "expected: None where nobody was told, as before; an address list is taken whole or not at all"
sed 's/^/seen:     /' seen
grep -q "1.9.9: NoneType, false: True, is None: True; add: False, kept: 1" seen &&
    grep -q "2.3.0: AppriseResult, false: True, is None: False; add: False, kept: 1" seen
