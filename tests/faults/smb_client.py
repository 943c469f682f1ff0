"""A client that writes a song through SMB as slowly as told (libsmbclient).

    python -m tests.faults.smb_client URL        e.g. smb://127.0.0.1:14450/music/inbox/song.wav

Writes what comes on standard input, each piece as it comes; `--length N` first sets the file's
length, as Windows Explorer does. Killed in between, it leaves what a broken copy leaves.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys

_LIBRARY = "libsmbclient.so.0"
_ASK = ctypes.CFUNCTYPE(
    None,
    *(ctypes.c_char_p, ctypes.c_char_p),  # server, share
    *(ctypes.POINTER(ctypes.c_char), ctypes.c_int) * 3,  # workgroup, user, password: to be filled
)


@_ASK
def _as_guest(*_: object) -> None:
    """Nothing filled in: nobody in particular."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--length", type=int)
    options = parser.parse_args()
    smb = ctypes.CDLL(_LIBRARY, use_errno=True)
    smb.smbc_ftruncate.argtypes = [ctypes.c_int, ctypes.c_int64]
    smb.smbc_write.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
    smb.smbc_write.restype = ctypes.c_ssize_t
    _check(smb.smbc_init(_as_guest, 0))
    file = _check(smb.smbc_open(options.url.encode(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644))
    if options.length is not None:
        _check(smb.smbc_ftruncate(file, options.length))
    while piece := os.read(0, 1 << 16):
        _check(smb.smbc_write(file, piece, len(piece)))
    _check(smb.smbc_close(file))
    return 0


def _check(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


if __name__ == "__main__":
    sys.exit(main())
