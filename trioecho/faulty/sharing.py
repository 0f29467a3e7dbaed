"""Bugs that one connection has because of another."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from .buffered import BufferedServer
from .bug import NOTHING_ELSE_IS_TRIED, Bug, FaultyServer
from .header_format import RefusedError
from .honest import RECV_BYTES, ClientSocket

_ONE_CLIENT = "Its test has one client."
_MUCH_BYTES = 1 << 18


class AcceptsOnce(FaultyServer):
    bug: Bug = Bug(
        "accepts-once",
        summary="accepts one connection, and reads from it in a loop",
        works="Its test connects once. A second client is connected, too: by the kernel.",
        shows="The second client, and any other, waits for a reply for ever.",
        fix="Accept inside of the loop, and read in a task or thread of its own.",
        source="TcpChat, accept before the loop, as in the Microsoft example: "
        "https://github.com/StephenClearyExamples/TcpChat/issues/2",
        fails=("3.2",),
        may_fail=NOTHING_ELSE_IS_TRIED,
        cause="only-first-connection",
    )

    def start(self, connection: ClientSocket) -> None:
        self.loop.unregister(self.listener)  # BUG: accept() stands before the loop
        super().start(connection)

    def drain(self) -> None:
        self.listener.close()
        super().drain()


class OneAtATime(FaultyServer):
    bug: Bug = Bug(
        "one-at-a-time",
        summary="serves a connection to its end before it accepts the next",
        works=_ONE_CLIENT,
        shows="The second client is connected, by the kernel, and gets no reply.",
        fix="Give every connection a thread or task of its own, or use an event loop.",
        source="socketserver.TCPServer without ThreadingMixIn, as its documentation says: "
        "https://docs.python.org/3/library/socketserver.html",
        fails=("3.2", "3.3", "3.4", "3.6"),
        cause="single-threaded",
    )

    def start(self, connection: ClientSocket) -> None:
        self.handle(connection)  # BUG: no other is accepted meanwhile


class BlockingLoop(FaultyServer):
    bug: Bug = Bug(
        "blocking-loop",
        summary="reads whole frames, blocking, in the event loop that serves all",
        works="Frames arrive whole, so nothing ever blocks.",
        shows="A client that stops in the middle of a frame, or does not read, stops everybody.",
        fix="Take what is there, keep it in the connection's own buffer, go back to the loop.",
        source="Taskserver, slow clients make others wait: "
        "https://github.com/GothenburgBitFactory/taskserver/issues/72",
        fails=("3.3", "3.4"),
        cause="single-threaded",
    )

    def start(self, connection: ClientSocket) -> None:
        self.watch(connection.sock, partial(self.handle_ready, connection))

    def handle_ready(self, connection: ClientSocket) -> None:
        try:
            payload = self.read_frame(connection)  # BUG: readable is not complete
            if payload is not None:
                self.write_frame(connection, payload)
                return
        except (OSError, RefusedError):
            pass
        self.loop.unregister(connection.sock)
        # The goodbye has a thread: to wait in it is not the bug.
        threading.Thread(target=self.say_goodbye, args=(connection,), daemon=True).start()

    def say_goodbye(self, connection: ClientSocket) -> None:
        with contextlib.suppress(OSError):
            connection.finish()
        self.release(connection)

    def drain(self) -> None:
        for connection in list(self.connections):
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()
        super().drain()


class SharedBuffer(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "shared-buffer",
        summary="has one buffer for all connections",
        works=_ONE_CLIENT,
        shows="Clients whose frames come in pieces at the same time get, or lose, each other's bytes.",
        fix="Make the buffer where the connection is served.",
        source="nogotofail, a BufferState of the class: https://github.com/google/nogotofail/pull/80",
        fails=("3.2", "3.4", "3.6", "4.8", "5.4", "7.3"),
        may_fail=("5.5", "5.7"),
        cause="shared-state",
    )

    buffer: bytearray = bytearray()  # BUG: the class's, so everybody's

    def echo_frames(self, connection: ClientSocket) -> None:
        self.buffer.clear()
        while data := connection.recv(RECV_BYTES):
            self.buffer += data
            time.sleep(0.001)  # it is logged, and bytes of others come
            while (frame := self.first_frame(self.buffer)) is not None:
                del self.buffer[: frame.end]
                self.write_frame(connection, frame.payload)


class FewWorkers(FaultyServer):
    bug: Bug = Bug(
        "few-workers",
        summary="keeps a worker of a pool busy for as long as a connection lasts",
        works="Its test has fewer clients than the pool has workers.",
        shows="Connections beyond the pool's size wait until others have ended.",
        fix="Let a pool do the work of messages, not of connections; or state its size as a limit.",
        source="classroom habit: ThreadPoolExecutor, which has 32 workers at most by default",
        fails=("3.2",),
        cause="connection-limit",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pool: ThreadPoolExecutor = ThreadPoolExecutor(max_workers=32)

    def start(self, connection: ClientSocket) -> None:
        self.pool.submit(self.handle, connection)  # BUG: the 33rd waits

    def drain(self) -> None:
        super().drain()
        self.pool.shutdown()


class LockedSend(FaultyServer):
    bug: Bug = Bug(
        "locked-send",
        summary="sends while it holds the lock of the statistics",
        works="While clients read, no thread holds the lock for long.",
        shows="A client that does not read stops the replies to all others.",
        fix="Hold a lock for the shared numbers only, never while waiting for a client.",
        source="cpp-httplib's example, a write under the dispatcher's lock: "
        "https://github.com/yhirose/cpp-httplib/issues/1388",
        fails=("3.4",),
        cause="blocked-by-non-reader",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.statistics_lock: threading.Lock = threading.Lock()
        self.answered: int = 0

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        with self.statistics_lock:
            super().write_frame(connection, payload)  # BUG: may wait for ever, with the lock
            self.answered += 1


class Greedy(BufferedServer, FaultyServer):
    bug: Bug = Bug(
        "greedy",
        summary="serves a connection, in the loop that serves all, for as long as it has something to say",
        works=_ONE_CLIENT,
        shows="Beside one that sends without a pause all others wait.",
        fix="Go back to the loop after some frames of one connection.",
        source="ws-rs, a client that sends many messages keeps others out: "
        "https://github.com/housleyjk/ws-rs/issues/65",
        fails=("3.6",),
        cause="starves-others",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.turn: threading.Lock = threading.Lock()  # as if there were one loop

    def echo_frames(self, connection: ClientSocket) -> None:
        buffer = bytearray()
        unsent = b""
        received = 0
        while connection.wait_readable():
            with self.turn:
                # One that has said much is about to say more.
                while not unsent and connection.wait_readable(0.005 if received < _MUCH_BYTES else 0.5):
                    data = connection.recv(RECV_BYTES)  # BUG: and the others?
                    if not data:
                        return
                    buffer += data
                    received += len(data)
                    end = 0
                    try:
                        while (first := self.first_frame(buffer[end:])) is not None:
                            end += first.end
                    finally:
                        unsent = self.send_for_a_while(connection, bytes(buffer[:end]))
                        del buffer[:end]
            connection.sendall(unsent)
            unsent = b""

    def send_for_a_while(self, connection: ClientSocket, data: bytes) -> bytes:
        """Send what can be sent while the client reads; what is left is sent outside of the loop."""
        connection.sock.settimeout(0.2)
        try:
            while data:
                data = data[connection.sock.send(data) :]
        except TimeoutError:
            pass
        finally:
            connection.sock.settimeout(None)
        return data
