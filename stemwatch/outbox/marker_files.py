"""Marker files at the outbox's root, by which music libraries leave its stems alone."""

from __future__ import annotations

import os
from collections.abc import Mapping

from stemwatch.disks import durable


def write_missing(outbox: str, files: Mapping[str, bytes]) -> list[str]:
    """Write those of `files` (name and content) that are missing; returns their names.

    Whatever has such a name already is the user's and stays. Raises as `durable.disk_faults` does.
    """
    written = []
    with durable.disk_faults(outbox):
        for name, content in files.items():
            path = os.path.join(outbox, name)
            if os.path.lexists(path):
                continue
            try:
                durable.write_file(path, content)
            except FileExistsError:  # somebody else's, this very moment
                continue
            written.append(name)
    return written
