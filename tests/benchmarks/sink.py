"""An HTTP server that costs next to nothing: `python -m tests.benchmarks.sink [CERT KEY]`.

It throws uploads away from one buffer and serves downloads from memory with sendfile (over TLS
from one buffer), so that what is measured against it is the client. Prints its port.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import threading

BUFFER = 1024 * 1024
_ANSWER = {"job_id": "job-1", "uploadKey": "key-1", "status": "QUEUED"}


class Sink:
    """Takes any POST and PUT; `GET /<bytes>` answers with that many."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._source = os.memfd_create("source")
        os.truncate(self._source, 256 * BUFFER)

    def serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                buffer = memoryview(bytearray(BUFFER))
                while self._exchange(connection, buffer):
                    pass
        except OSError:
            return  # the client hung up

    def _exchange(self, connection: socket.socket, buffer: memoryview) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            count = connection.recv_into(buffer)
            if not count:
                return False
            head += bytes(buffer[:count])
        head, _, rest = head.partition(b"\r\n\r\n")
        method, path, _ = head.split(b"\r\n", 1)[0].split(b" ")
        if method == b"GET":
            self._give(connection, int(path.rpartition(b"/")[2]), buffer)
            return True
        left = _length(head) - len(rest)
        while left:
            count = connection.recv_into(buffer[: min(left, BUFFER)])
            if not count:
                return False
            left -= count
        scheme = "http" if self._tls is None else "https"
        put = f"{scheme}://127.0.0.1:{self.port}/put"
        body = json.dumps({**_ANSWER, "uploadUrl": put}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        return True

    def _give(self, connection: socket.socket, size: int, buffer: memoryview) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        offset = 0
        while offset < size:
            if self._tls is None:
                offset += os.sendfile(connection.fileno(), self._source, offset, size - offset)
            else:
                part = buffer[: min(BUFFER, size - offset)]
                connection.sendall(part)
                offset += len(part)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def main() -> None:
    tls = None
    if len(sys.argv) == 3:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1], sys.argv[2])
    sink = Sink(tls)
    print(sink.port, flush=True)
    sink.serve()


if __name__ == "__main__":
    main()
