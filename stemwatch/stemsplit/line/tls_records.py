"""Reads what a TLS connection has at hand: one record at a time costs a loop turn for 16 KiB."""

from __future__ import annotations

import ssl

_RECORD = 16 * 1024  # bytes


def receive(tls: ssl.SSLSocket, most: int) -> bytes:
    """Up to `most` bytes and a record; b"" at the end. Raises OSError, SSLWantReadError."""
    records: list[bytes] = []
    size = 0
    try:
        while size < most:
            record = tls.recv(min(_RECORD, most - size))
            if not record:
                break
            records.append(record)
            size += len(record)
    except (ssl.SSLZeroReturnError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as exc:
        if not records and not isinstance(exc, ssl.SSLZeroReturnError):
            raise
    except OSError:
        if not records:  # what was received whole is still worth reading
            raise
    return b"".join(records)
