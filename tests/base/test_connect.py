"""Connections that are none, and why there is none."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from functools import partial

import pytest
import trio

from trioecho import open_frame_channel
from trioecho.base.connect import connect, open_stream
from trioecho.base.endpoint import SelfConnectionError, why_not_connected


class OwnPortFactory(trio.abc.SocketFactory):
    """Makes sockets that hold the very port that they will connect to, so they meet themselves."""

    def __init__(self, met: int) -> None:
        self.met = met
        self.made = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def socket(self, family: int = -1, type: int = -1, proto: int = -1) -> trio.socket.SocketType:
        plain = socket.socket(family, type, proto)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.made += 1
        if self.made <= self.met:
            plain.bind(("127.0.0.1", self.port))
        return trio.socket.from_stdlib_socket(plain)


async def test_a_socket_that_met_itself_is_no_connection() -> None:
    with trio.socket.socket() as sock:
        await sock.bind(("127.0.0.1", 0))
        with pytest.raises(SelfConnectionError, match="no server listens"):
            await connect(sock, sock.getsockname())


async def test_no_server_is_no_server_although_every_byte_would_come_back() -> None:
    factory = OwnPortFactory(met=100)
    trio.socket.set_custom_socket_factory(factory)
    with pytest.raises(ConnectionRefusedError):
        await open_frame_channel("127.0.0.1", factory.port)
    assert factory.made > 1


async def test_a_server_is_found_behind_a_socket_that_met_itself() -> None:
    factory = OwnPortFactory(met=1)
    trio.socket.set_custom_socket_factory(factory)
    with pytest.raises(OSError, match="all attempts"):  # the second try is refused: nobody listens
        await open_stream("127.0.0.1", factory.port)
    assert factory.made == 2


class NoDescriptorFactory(trio.abc.SocketFactory):
    def socket(self, family: int = -1, type: int = -1, proto: int = -1) -> trio.socket.SocketType:
        raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize(
    ("host", "make_factory", "reason"),
    [
        ("127.0.0.1", partial(OwnPortFactory, met=100), "connection refused: does the server run"),
        ("127.0.0.1", NoDescriptorFactory, "Too many open files"),
        ("\udcff", None, "the host is not known ("),
    ],
)
async def test_why_there_is_no_connection(
    host: str, make_factory: Callable[[], trio.abc.SocketFactory] | None, reason: str
) -> None:
    factory = make_factory() if make_factory is not None else None
    trio.socket.set_custom_socket_factory(factory)
    with pytest.raises((OSError, UnicodeError)) as failed:
        await open_stream(host, factory.port if isinstance(factory, OwnPortFactory) else 9)
    assert isinstance(failed.value, (OSError, UnicodeError))
    assert why_not_connected(failed.value).startswith(reason)


def test_a_reason_is_never_empty() -> None:
    assert why_not_connected(OSError()) == "OSError"
