"""Bugs in what the end of a connection, or of a frame, does to the server."""

from __future__ import annotations

import os
from typing import Any

from .bug import Bug, FaultyServer
from .header_format import RefusedError
from .honest import ClientSocket
from .need import OVER_THE_LIMIT

_POLITE = "Clients in tests end their connections politely, between frames."
_FEW = "A test makes a few connections, and then the process ends."
# After so many connections have ended a sweep looks for what was left open.
_MANY_ENDED = 50


class DiesOfRefusal(FaultyServer):
    bug: Bug = Bug(
        "dies-of-refusal",
        summary="lets the error of a refused frame end the server",
        works="Clients in tests keep to the limit.",
        shows="One frame over the limit ends all connections, and the process.",
        fix="Catch errors where the connection is served.",
        source="Trio's documentation of serve_listeners: an exception in a handler ends all; "
        "https://trio.readthedocs.io/en/stable/reference-io.html",
        fails=("4.8",),
        may_fail=(
            "4.1",
            "4.2",
            "4.3",
            "4.4",
            "4.5",
            "4.6",
            "4.7",
            "4.9",
            "7.2",
            "7.3",
        ),
        cause="error-ends-server",
        needs=(OVER_THE_LIMIT,),
    )

    def handle(self, connection: ClientSocket) -> None:
        try:
            self.echo_frames(connection)
            connection.finish()
        except OSError:
            pass
        except RefusedError as error:
            self.crash(error)  # BUG: it is not caught for this connection alone
        finally:
            self.release(connection)


class DiesOnReset(FaultyServer):
    bug: Bug = Bug(
        "dies-on-reset",
        summary="lets a reset connection end the server",
        works=_POLITE,
        shows="A client that crashes, or a health check that resets, ends the server for all.",
        fix="Catch ConnectionError where the connection is served.",
        source="JavaScript Solid Server, 953 restarts by ECONNRESET: "
        "https://github.com/JavaScriptSolidServer/JavaScriptSolidServer/issues/138",
        fails=("5.4",),
        may_fail=(
            "3.4",
            "3.6",
            "3.5",
            "3.7",
            "4.8",
            "5.5",
            "5.7",
            "7.2",
            "7.3",
        ),
        cause="dies-on-reset",
    )

    def handle(self, connection: ClientSocket) -> None:
        try:
            self.converse(connection)
        except ConnectionResetError as error:
            self.crash(error)  # BUG: it is not caught for this connection alone
        except OSError:
            pass
        finally:
            self.release(connection)


class DiesOnBrokenPipe(FaultyServer):
    bug: Bug = Bug(
        "dies-on-broken-pipe",
        summary="lets a failed send end the server",
        works="Clients in tests stay until they have their echoes.",
        shows="A client that goes without reading ends the server for all.",
        fix="Catch errors of sends as well; in C ignore SIGPIPE, which ends the process without a word.",
        source="signal(7) and send(2), SIGPIPE; classroom habit: errors are caught around receives only",
        fails=("5.5",),
        may_fail=(
            "3.4",
            "3.5",
            "3.6",
            "3.7",
            "7.2",
            "7.3",
        ),
        cause="dies-on-broken-pipe",
    )

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        try:
            super().write_frame(connection, payload)
        except OSError as error:
            self.crash(error)  # BUG: it is not caught for this connection alone
            raise


class LosesPlaces(FaultyServer):
    bug: Bug = Bug(
        "loses-places",
        summary="does not give a connection's place back when no frame came on it",
        works=_FEW,
        shows="After 60 connections of port scanners and health checks no other is served.",
        fix="Release in a finally block.",
        source="HTTP.jl, a semaphore that is not released: https://github.com/JuliaWeb/HTTP.jl/issues/1143",
        fails=("5.6",),
        may_fail=("3.2", "5.7"),
        cause="leaks-connections",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.places: int = 60

    def accept(self) -> bool:
        if self.places <= 0:
            self.stopping.recv(1)  # full: waits, and only the server's end comes
            return False
        return super().accept()

    def start(self, connection: ClientSocket) -> None:
        self.places -= 1
        super().start(connection)

    def echo_frames(self, connection: ClientSocket) -> None:
        payload = self.read_frame(connection)
        if payload is None:
            return  # BUG: the place is not given back
        self.write_frame(connection, payload)
        try:
            super().echo_frames(connection)
        finally:
            self.places += 1


class ShutdownNotClose(FaultyServer):
    bug: Bug = Bug(
        "shutdown-not-close",
        summary="shuts connections down, and never closes them",
        works=_FEW,
        shows="Each connection leaves an open file behind; at the limit no client can connect.",
        fix="Close the socket in a finally block, or use a with block.",
        source="Amp, close() that returned before it closed: https://github.com/amphp/socket/pull/17",
        fails=("5.7",),
        cause="leaks-descriptors",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ended: list[ClientSocket] = []

    def release(self, connection: ClientSocket) -> None:
        connection.cut_off()
        connection.release_selector()
        self.ended.append(connection)  # BUG: and who closes it?
        self.connections.pop(connection, None)


class ClosesTwice(FaultyServer):
    bug: Bug = Bug(
        "closes-twice",
        summary="closes connections, and a sweep that comes later closes their numbers again",
        works=_FEW + " Then the second close is an error that is not looked at.",
        shows="Connections end to which nothing was done: the kernel has given them such a number meanwhile.",
        fix="Close in one place, once; forget the number with it.",
        source="close(2): the descriptor may have been reused by another thread; classroom habit: close() in "
        "the handler and in a loop that looks for what was left open",
        fails=("5.6",),
        may_fail=("1", "2", "3", "4", "5", "6", "7"),
        cause="ends-others",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ended: list[int] = []

    def release(self, connection: ClientSocket) -> None:
        number = connection.sock.fileno()
        super().release(connection)
        if number >= 0:
            self.ended.append(number)

    def write_frame(self, connection: ClientSocket, payload: bytes) -> None:
        if len(self.ended) >= _MANY_ENDED:
            self.sweep()
        super().write_frame(connection, payload)

    def sweep(self) -> None:
        numbers, self.ended = self.ended, []
        for other in list(self.connections):
            if other.sock.fileno() in numbers:
                os.close(other.sock.detach())  # BUG: another has that number now
