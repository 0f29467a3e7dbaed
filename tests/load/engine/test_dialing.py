"""Connections that are opened while a load runs, where this machine has no descriptor left."""

from __future__ import annotations

import errno
import os
import socket

import pytest
import trio

from tests.support.guard import GUARD_S
from trioecho.base.message import Message
from trioecho.load import LoadPlan, MessageList, ServiceTraits
from trioecho.load.engine.dialing import SocketDialer, Taken
from trioecho.load.engine.greeting import Greeting
from trioecho.load.engine.making import ConnectionMaker
from trioecho.load.engine.poller import open_poller
from trioecho.load.engine.tally import LoadTally

LOGIN = MessageList("login.jsonl", [Message(b"user")])


def no_descriptor(*_: object, **__: object) -> socket.socket:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def take(dialer: SocketDialer, attempt: int) -> Taken:
    while (taken := dialer.take(attempt)) is None:
        await trio.lowlevel.checkpoint()
    return taken


async def test_without_a_descriptor_for_first_messages_the_attempt_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    greeting = Greeting(LoadPlan("h", 1, service=ServiceTraits(LOGIN.source)), LOGIN)
    monkeypatch.setattr(socket.socket, "dup", no_descriptor)
    with socket.create_server(("127.0.0.1", 0)) as listener, open_poller() as poller:
        with trio.fail_after(GUARD_S):
            async with trio.open_nursery() as nursery:
                dialer = SocketDialer(
                    poller, (listener.family, listener.getsockname()), nursery=nursery, greeting=greeting
                )
                attempt = dialer.dial(0)
                with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
                    await take(dialer, attempt)
        assert dialer.finished == [attempt]
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(GUARD_S)
            assert peer.recv(1) == b""  # the attempt was closed


def test_a_connection_that_could_not_be_opened_takes_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = LoadPlan("h", 1)
    maker = ConnectionMaker(plan, LoadTally(plan))
    monkeypatch.setattr(socket, "socket", no_descriptor)
    absent = maker.make_absent(2)
    assert (absent.number, absent.is_over) == (2, True)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        absent.socket.send(b"x")
    absent.half_close()
    absent.socket.close()
