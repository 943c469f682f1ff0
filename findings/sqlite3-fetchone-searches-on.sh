#!/usr/bin/env bash
# fetchone() of Python's sqlite3 hands out the row that was found only when it has found the next one, or none.
#
# `execute` stands at the first row already, after 6 rows of 10,000. `fetchone` looks for a second before it gives
# the first: one song by its name is a search through all of them, and a function of one's own is called for
# rows that nobody asked for. Whoever takes rows one by one until enough is had pays for one more. LIMIT 1 ends
# the search; apsw doesn't look ahead. Python 3.12 and 3.13 do as 3.11 does.
# Seen with Python 3.11.7: 6 rows were looked at by execute, 10,000 by fetchone; with apsw 3.54.1.0 6 and 6.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq apsw==3.54.1.0 || exit 2
cd "$work" && venv/bin/python - <<'END'
import platform, sqlite3, sys
import apsw

looked = []

def look(name):
    """The name of a row, as it is; notes that the row was looked at."""
    looked.append(name)
    return name

def rows_looked_at(connection, sql):
    """How many rows were looked at when `execute` was through, and when `fetchone` was."""
    connection.execute("CREATE TABLE songs (id INTEGER PRIMARY KEY, name TEXT)")
    connection.executemany("INSERT INTO songs (name) VALUES (?)", [(f"song {count}",) for count in range(10_000)])
    if isinstance(connection, apsw.Connection):
        connection.create_scalar_function("look", look, 1)
    else:
        connection.create_function("look", 1, look)
    looked.clear()
    cursor = connection.execute(sql)
    executed = len(looked)
    assert cursor.fetchone() == (6,)
    return executed, len(looked)

one = "SELECT id FROM songs WHERE look(name) = 'song 5'"
seen = {
    "sqlite3": rows_looked_at(sqlite3.connect(":memory:"), one),
    "sqlite3, LIMIT 1": rows_looked_at(sqlite3.connect(":memory:"), one + " LIMIT 1"),
    "apsw": rows_looked_at(apsw.Connection(":memory:"), one),
}
print("versions: Python", platform.python_version() + ", SQLite", sqlite3.sqlite_version + ", apsw", apsw.apsw_version())
print("expected: a row that is found is handed out; the search goes on when another is asked for")
for name, (executed, fetched) in seen.items():
    print(f"seen:     {name:17} {executed:,} rows were looked at by execute, {fetched:,} by fetchone")
sys.exit(0 if list(seen.values()) == [(6, 10_000), (6, 6), (6, 6)] else 1)
END
