"""gevent: a greenlet per connection, written as if calls blocked.

python gevent_stream.py MAX_FRAME_LENGTH
"""

from __future__ import annotations

import contextlib
import sys

from gevent import socket
from gevent.server import StreamServer

MAX_FRAME_LENGTH = int(sys.argv[1])


def receive_exactly(connection: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    missing = memoryview(data)
    while missing:
        received = connection.recv_into(missing)
        if not received:
            raise EOFError
        missing = missing[received:]
    return data


def serve(connection: socket.socket, address: tuple[str, int]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            header = receive_exactly(connection, 4)
            length = int.from_bytes(header, "big")
            if length > MAX_FRAME_LENGTH:
                return
            connection.sendall(header + receive_exactly(connection, length))


server = StreamServer(("127.0.0.1", 0), serve, backlog=1024)
server.start()
print(f"listening on 127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
server.serve_forever()
