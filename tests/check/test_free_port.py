"""A port that is reserved for a server is the server's, and no other run's."""

from __future__ import annotations

import socket

import pytest

from tests.support.sockets import LOOPBACK
from trioecho.check.spawned import free_port
from trioecho.check.spawned.free_port import reserved_port


def test_a_server_can_listen_on_it_however_it_binds() -> None:
    with reserved_port(LOOPBACK) as port, socket.socket() as plain:
        plain.bind((LOOPBACK, port))
        plain.listen()


def test_a_server_can_have_it_in_udp_too() -> None:
    with reserved_port(LOOPBACK) as port, socket.socket(type=socket.SOCK_DGRAM) as plain:
        plain.bind((LOOPBACK, port))


def test_nobody_reserves_it_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two ports that only this test takes: below those of servers that other tests start.
    monkeypatch.setattr(free_port, "_FIRST", free_port._FIRST - 2)
    monkeypatch.setattr(free_port, "_LAST", free_port._FIRST + 1)
    with reserved_port(LOOPBACK) as one, reserved_port(LOOPBACK) as other:
        assert {one, other} == {free_port._FIRST, free_port._LAST}
        with pytest.raises(OSError, match="is free"), reserved_port(LOOPBACK):
            pass
    with reserved_port(LOOPBACK):
        pass


def test_a_port_on_which_somebody_listens_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        monkeypatch.setattr(free_port, "_FIRST", listener.getsockname()[1])
        monkeypatch.setattr(free_port, "_LAST", free_port._FIRST)
        with pytest.raises(OSError, match="is free"), reserved_port(LOOPBACK):
            pass
