"""A thread per connection, with blocking calls: the way of the course's sample.

python threads.py MAX_FRAME_LENGTH
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

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


def serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(EOFError, ConnectionError):
        while True:
            header = receive_exactly(connection, 4)
            length = int.from_bytes(header, "big")
            if length > MAX_FRAME_LENGTH:
                return
            connection.sendall(header + receive_exactly(connection, length))


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


main()
