"""A server that is stopped for a while, as by SIGSTOP or a paused machine, on a virtual clock."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

import trio
import trio.testing
from trio.testing import MockClock


def send_now(peer: trio.SocketStream, data: bytes) -> None:
    """Send without a turn for anybody else, as to a process that is stopped."""
    with socket.socket(fileno=os.dup(peer.socket.fileno())) as plain:
        assert plain.send(data) == len(data)


def receive_now(peer: trio.SocketStream) -> bytes:
    """Receive everything that is here; likewise."""
    received = bytearray()
    with socket.socket(fileno=os.dup(peer.socket.fileno())) as plain, contextlib.suppress(BlockingIOError):
        while piece := plain.recv(1 << 20, socket.MSG_DONTWAIT):
            received += piece
    return bytes(received)


class Stop(trio.abc.Instrument):
    """Does something as if this process were stopped meanwhile.

    When it continues, Linux and Python tell it that time has passed, but not of the
    sockets that are ready by now; so it is here.
    """

    def __init__(self, clock: MockClock, meanwhile: Callable[[], None], seconds: float) -> None:
        self._clock = clock
        self._meanwhile = meanwhile
        self._seconds = seconds

    def after_io_wait(self, timeout: float) -> None:
        trio.lowlevel.remove_instrument(self)
        self._meanwhile()
        self._clock.jump(self._seconds)


async def stopped(clock: MockClock, meanwhile: Callable[[], None], seconds: float = 100) -> None:
    """Let something happen while the server seems to be stopped; return before it knows of it."""
    await trio.testing.wait_all_tasks_blocked()
    trio.lowlevel.add_instrument(Stop(clock, meanwhile, seconds))
    await trio.lowlevel.checkpoint()
