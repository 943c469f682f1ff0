#!/usr/bin/env bash
# A listening socket made the usual way keeps Nagle's delay on all connections that asyncio accepts.
#
# asyncio turns TCP_NODELAY on by itself, but only where `sock.proto` is IPPROTO_TCP. The usual
# `socket.socket(AF_INET, SOCK_STREAM)` has protocol 0, and what it accepts inherits that. A server
# that is handed such a socket answers small requests up to 40 ms late.
set -eu
exec "${PYTHON:-python3}" - <<'END'
import asyncio, platform, socket, sys

async def nodelay(**how):
    """TCP_NODELAY of a connection that `asyncio.start_server(**how)` accepts."""
    seen = asyncio.get_running_loop().create_future()
    def accepted(reader, writer):
        sock = writer.get_extra_info("socket")
        seen.set_result(bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()
    server = await asyncio.start_server(accepted, **how)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    answer = await seen
    writer.close()
    server.close()
    return answer

def listening(*protocol):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, *protocol)
    sock.bind(("127.0.0.1", 0))
    return sock

by_address = asyncio.run(nodelay(host="127.0.0.1", port=0))
usual = asyncio.run(nodelay(sock=listening()))
named = asyncio.run(nodelay(sock=listening(socket.IPPROTO_TCP)))
print("version:  Python", platform.python_version())
print("expected: TCP_NODELAY is on, whoever made the listening socket")
print("seen:     on for host and port:", by_address)
print("          on for sock=socket(AF_INET, SOCK_STREAM):", usual)
print("          on for sock=socket(AF_INET, SOCK_STREAM, IPPROTO_TCP):", named)
sys.exit(0 if (by_address, usual, named) == (True, False, True) else 1)
END
