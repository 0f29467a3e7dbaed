"""After the course's sample: a thread per connection, with its three defects.  usage: course_sample.py PORT

It trusts any length, its service time begins before the receive, and `stop`
closes the listening socket from another thread.
"""

import signal
import socket
import struct
import sys
import threading
import time


class EchoServer:
    def __init__(self, port: int) -> None:
        self.port = port
        self.running = False
        self.service_times: list[float] = []

    def start(self) -> None:
        self.running = True
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen()
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.running = False
        self.listener.close()  # the thread waits on in accept
        self.thread.join(timeout=1)

    def accept(self) -> None:
        while self.running:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                break
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def handle(self, connection: socket.socket) -> None:
        with connection:
            try:
                while True:
                    began = time.perf_counter()  # before there is anything to do
                    header = self.receive_exactly(connection, 4)
                    if header is None:
                        break
                    (length,) = struct.unpack("!I", header)  # up to 4 GiB
                    payload = self.receive_exactly(connection, length)
                    if payload is None:
                        break
                    connection.sendall(header + payload)
                    self.service_times.append(time.perf_counter() - began)
            except OSError:
                pass

    def receive_exactly(self, connection: socket.socket, count: int) -> "bytes | None":
        received = b""
        while len(received) < count:
            piece = connection.recv(count - len(received))
            if not piece:
                return None
            received += piece
        return received


signals = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
server = EchoServer(int(sys.argv[1]))
server.start()
signal.sigwait(signals)
server.stop()
