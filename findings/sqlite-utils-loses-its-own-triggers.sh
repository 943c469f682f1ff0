#!/usr/bin/env bash
# Songs that are added after sqlite-utils changed their table are never found by the search that sqlite-utils keeps.
#
# `enable_fts(..., create_triggers=True)` keeps a full-text search up to date by triggers. `transform()` makes the table
# anew, takes rows, indexes and constraints over, and drops the old table, and its triggers with it: also those of
# sqlite-utils' own search. `add_foreign_key` does so too. Nothing says it; the docs speak of triggers that aren't
# "upgraded". New songs aren't found, and one of a new title is found by its old one. Afterwards call `enable_fts` again
# with `replace=True`.
# Seen with sqlite-utils 4.2.1: three triggers before, none afterwards; with a fresh `enable_fts` all is found.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq sqlite-utils==4.2.1 || exit 2
cd "$work" && venv/bin/python - <<'END'
import sqlite3, sys
from importlib.metadata import version
import sqlite_utils

def nothing(songs):
    pass

def not_null(songs):
    songs.transform(not_null={"title"})

def foreign_key(songs):
    songs.add_foreign_key("artist", "artists", "id")

def anew(songs):
    not_null(songs)
    songs.enable_fts(["title"], create_triggers=True, replace=True)

def after(change):
    """(triggers, indexes, the titles that searches find)."""
    database = sqlite_utils.Database(memory=True)
    database["artists"].insert({"id": 1, "name": "Ann"}, pk="id")
    songs = database["songs"]
    songs.insert_all([{"id": n, "title": title, "artist": 1} for n, title in enumerate(["Evening", "Noon"])], pk="id")
    songs.enable_fts(["title"], create_triggers=True)
    songs.create_index(["artist"])
    change(songs)
    songs = database["songs"]
    songs.insert({"id": 9, "title": "Midnight", "artist": 1})
    songs.update(0, {"title": "Morning"})
    found = {word: [row["title"] for row in songs.search(word)] for word in ("midnight", "morning", "evening")}
    return len(songs.triggers), len(songs.indexes), found

print("versions: sqlite-utils", version("sqlite-utils") + ", SQLite", sqlite3.sqlite_version)
print("expected: the table as it was but for the change; Midnight is found, and Morning that was Evening")
seen = {change.__name__: after(change) for change in (nothing, not_null, foreign_key, anew)}
for name, (triggers, indexes, found) in seen.items():
    print(f"seen:     {name:11} {triggers} triggers, {indexes} index; found: {found}")
kept = (3, 1, {"midnight": ["Midnight"], "morning": ["Morning"], "evening": []})
lost = (0, 1, {"midnight": [], "morning": [], "evening": ["Morning"]})
sys.exit(0 if seen == {"nothing": kept, "not_null": lost, "foreign_key": lost, "anew": kept} else 1)
END
