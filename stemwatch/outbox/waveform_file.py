"""The hidden file of waveforms in a song's folder, from which the page draws without decoding.

{"schema": "stemwatch.waveforms/1", "stems": {"vocals": "<base64>", ...}}: for each stem 1,000 pairs
of int8, the lowest and the highest sample of each column. It lies in the folder, so it goes where
the folder goes and ends with it; it is hidden, so no music library shows it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from collections.abc import Sequence

from stemwatch.outbox.naming import readable
from stemwatch.outbox.sidecar import ResultFile

NAME = ".stemwatch-waveforms"
COLUMNS = 1000
_SCHEMA = "stemwatch.waveforms/1"
_LIMIT = 1 << 20  # bytes; six stems and a mix take 20 kB
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def write(folder: str, stems: Sequence[ResultFile]) -> None:
    """Write what was measured into a folder that is not published yet; nothing: no file.

    Not flushed: what a power cut leaves of it is odd, and the page decodes the stems then.
    """
    drawn = {
        readable(stem.id): base64.b64encode(stem.measures.waveform).decode("ascii")
        for stem in stems
        if stem.measures.waveform
    }
    if drawn:
        text = json.dumps({"schema": _SCHEMA, "stems": drawn}, ensure_ascii=False)
        with open(os.path.join(folder, NAME), "w", encoding="utf-8") as file:
            file.write(text + "\n")


def read(folder_fd: int) -> dict[str, bytes]:
    """The waveforms by stem in an open folder; those that are missing or odd are left out.

    Anybody may have written the file.
    """
    try:
        found = json.loads(_bytes_of(folder_fd))
    except (OSError, ValueError, RecursionError):
        return {}
    stems = found.get("stems") if isinstance(found, dict) else None
    if not isinstance(stems, dict) or found.get("schema") != _SCHEMA:
        return {}
    drawn = {stem: _decoded(text) for stem, text in stems.items()}
    return {stem: raw for stem, raw in drawn.items() if len(raw) == 2 * COLUMNS}


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        return b""


def _bytes_of(folder_fd: int) -> bytes:
    fd = os.open(NAME, _FLAGS, dir_fd=folder_fd)
    with open(fd, "rb") as file:
        data = file.read(_LIMIT + 1) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    return data if len(data) <= _LIMIT else b""
