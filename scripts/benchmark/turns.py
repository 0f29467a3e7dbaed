"""The order of a turn: receive for all and then send for all, or one connection after the other."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from trioecho import FrameFormat, Limits, encode_frame
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Use
from trioecho.connection.receiving import SMALL_BYTES

_CONNECTIONS = 100
_BATCH = 32
_WIRE = encode_frame(bytes(64))

_NOTES = f"""\
{_CONNECTIONS} connections over loopback, one message of 64 B in flight on each; a server of nothing but
an epoll and an `Exchange` for each connection, and a client in a process of its own. Processor
time of the server for a message, as the median of interleaved stretches, and in brackets
what the Python in it takes: what the row takes beyond a server that sends back what it
receives. "Python alone" calls the exchanges without a socket.
"""

Served = tuple[socket.socket, Exchange]
Turn = Callable[[Sequence[Served]], object]


def _no_exchange(ready: Sequence[Served]) -> None:
    received = [connection.recv(SMALL_BYTES) for connection, _ in ready]
    for (connection, _), data in zip(ready, received, strict=True):
        connection.send(data)


def _one_by_one(ready: Sequence[Served]) -> None:
    now = time.perf_counter
    for connection, exchange in ready:
        wire = exchange.receive(connection.recv(SMALL_BYTES), now())
        while wire is not None:
            wire = exchange.sent(connection.send(wire), now())


def _phase_by_phase(ready: Sequence[Served]) -> None:
    now = time.perf_counter
    received = [(connection.recv(SMALL_BYTES), now()) for connection, _ in ready]
    outgoing = [exchange.receive(*each) for (_, exchange), each in zip(ready, received, strict=True)]
    for (connection, exchange), first in zip(ready, outgoing, strict=True):
        wire = first
        while wire is not None:
            wire = exchange.sent(connection.send(wire), now())


def _python_alone(ready: Sequence[Served]) -> None:
    now = time.perf_counter
    for _, exchange in ready:
        wire = exchange.receive(_WIRE, now())
        while wire is not None:
            wire = exchange.sent(len(wire), now())


TURNS: dict[str, Turn] = {
    "no Python between: what comes is sent back": _no_exchange,
    "receive, look, send: one connection after the other": _one_by_one,
    "receive for all, look at all, send for all": _phase_by_phase,
}


def _play_client(address: tuple[str, int]) -> None:
    """Keep one message in flight on each connection, for ever."""
    connections = [socket.create_connection(address) for _ in range(_CONNECTIONS)]
    ready = select.epoll()
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready.register(connection, select.EPOLLIN)
        connection.sendall(_WIRE)
    by_number = {connection.fileno(): connection for connection in connections}
    while True:
        for number, _ in ready.poll():
            if not by_number[number].recv(SMALL_BYTES):
                return
            by_number[number].sendall(_WIRE)


@contextlib.contextmanager
def _client(address: tuple[str, int]) -> Iterator[None]:
    process = os.fork()
    if not process:
        with contextlib.suppress(OSError):
            _play_client(address)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _serve(
    turn: Turn, served: dict[int, Served], poll: Callable[..., list[tuple[int, int]]], s: float
) -> float:
    """Serve for that long; return the processor time of a message in seconds."""
    messages = 0
    began, until = time.thread_time(), time.perf_counter() + s
    while time.perf_counter() < until:
        ready = [served[number] for number, _ in poll(1, _BATCH)]
        turn(ready)
        messages += len(ready)
    return (time.thread_time() - began) / max(1, messages)


def _time_python(served: Sequence[Served]) -> float:
    began = time.thread_time()
    _python_alone(served)
    return (time.thread_time() - began) / len(served)


def main(*, repeats: int, quick: bool) -> int:
    """Measure and print; returns the exit code."""
    taken_s: dict[str, list[float]] = {name: [] for name in (*TURNS, "Python alone")}
    with contextlib.ExitStack() as resources:
        listener = resources.enter_context(socket.create_server(("127.0.0.1", 0), backlog=_CONNECTIONS))
        resources.enter_context(_client(listener.getsockname()))
        epoll = resources.enter_context(select.epoll())
        served: dict[int, Served] = {}
        for _ in range(_CONNECTIONS):
            connection = resources.enter_context(listener.accept()[0])
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            exchange = Exchange(
                format=FrameFormat(), limits=Limits(), receive_capacity=lambda: 1 << 20, now=0.0
            )
            exchange.start(Use.ECHO, 0.0)
            served[connection.fileno()] = connection, exchange
            epoll.register(connection, select.EPOLLIN)
        for _ in range(repeats * (2 if quick else 10)):
            for name, turn in TURNS.items():
                taken_s[name].append(_serve(turn, served, epoll.poll, 0.05))
            taken_s["Python alone"].append(_time_python(list(served.values())))
    medians_us = {name: statistics.median(values) * 1e6 for name, values in taken_s.items()}
    least_us = next(iter(medians_us.values()))
    for name, us in medians_us.items():
        python_us = us if name == "Python alone" else us - least_us
        print(f"{us:6.2f} us  ({python_us:5.2f} us)  {name}")
    print(f"\n{_NOTES}", end="")
    return 0
