#!/usr/bin/env bash
# CHECK (state IN ('a', 'b', 'c')) makes SQLite build and search a table, at each row that is written.
#
# Up to two words are compared one by one; from three on an ephemeral b-tree is made and filled for
# every INSERT and UPDATE. The same condition with OR is compared, and costs nothing that one sees.
set -eu
exec "${PYTHON:-python3}" - <<'END'
import sqlite3, sys, time

def cost(condition):
    """(ephemeral tables in an INSERT's program, microseconds a row)"""
    base = sqlite3.connect(":memory:")
    base.execute(f"create table job (id integer primary key, state text check ({condition}))")
    program = base.execute("explain insert into job (state) values ('w0')").fetchall()
    rows, best = [("w0",)] * 50_000, 9.0
    for _ in range(3):
        began = time.process_time()
        base.executemany("insert into job (state) values (?)", rows)
        best = min(best, time.process_time() - began)
    return sum(step[1] == "OpenEphemeral" for step in program), best / len(rows) * 1e6

words = [f"'w{n}'" for n in range(8)]
two = cost(f"state in ({', '.join(words[:2])})")
listed = cost(f"state in ({', '.join(words)})")
spelt = cost(" or ".join(f"state = {word}" for word in words))
print("version:  SQLite", sqlite3.sqlite_version)
print("expected: a list of constants is compared; eight words by IN cost what they cost by OR")
for name, (tables, price) in {"2 by IN": two, "8 by IN": listed, "8 by OR": spelt}.items():
    print(f"seen:     {name}: {tables} tables built for a row, {price:.2f} us a row")
sys.exit(0 if (two[0], listed[0], spelt[0]) == (0, 1, 0) and listed[1] > 1.5 * spelt[1] else 1)
END
