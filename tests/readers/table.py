"""Ask every reader that is installed for the tags of made stems: `python -m tests.readers.table`.

Prints the table with versions. Exits with 1 where a cell is another than in docs/other-programs.md,
which `--write` brings up to date. docs/other-programs.md says how the readers are installed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.readers import page
from tests.readers.cells import column
from tests.readers.libraries import LIBRARIES, Library
from tests.readers.made import stems
from tests.readers.programs import PROGRAMS, Program
from tests.readers.servers import SERVERS, Server

READERS: tuple[Library | Program | Server, ...] = (*LIBRARIES, *PROGRAMS, *SERVERS)


def asked(reader: Library | Program | Server, folder: Path) -> page.Columns:
    """The reader's columns, from stems made in `folder`; none where it is not installed."""
    if (version := reader.version()) is None:
        return {}
    found = reader.read(stems(folder))
    return {
        (kind, reader.name): page.versioned(column(kind, found[kind]), version)
        for kind in reader.formats
        if kind in found
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="bring the page up to date")
    wanted = parser.parse_args()
    text = page.PAGE.read_text("utf-8")
    old, new = page.committed(text), page.Columns()
    for reader in READERS:
        with TemporaryDirectory() as folder:
            found = asked(reader, Path(folder))
        if not found:
            print(f"{reader.name} is not installed: its cells stay as they are", file=sys.stderr)
        new |= found or {at: cells for at, cells in old.items() if at[1] == reader.name}
    written = page.with_table(text, new)
    print(written.partition(page.BEGIN)[2].partition(page.END)[0])
    differing = [*page.differences(old, new)]
    if wanted.write:
        page.PAGE.write_text(written, "utf-8")
    else:
        print(*differing, sep="\n", file=sys.stderr)
    return 1 if differing and not wanted.write else 0


if __name__ == "__main__":
    sys.exit(main())
