"""Whether one path lies below another, by their names alone: no disk is asked. Pure.

Both are absolute and normal. Who means folders and not names follows their links first.
"""

from __future__ import annotations


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is in `folder`, at any depth; the folder itself is not."""
    return path != folder and path.startswith(folder.rstrip("/") + "/")


def is_at_or_below(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or in it, at any depth."""
    return path == folder or is_below(path, folder)
