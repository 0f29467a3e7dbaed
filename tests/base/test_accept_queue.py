from __future__ import annotations

import contextlib
import socket
import sys
from pathlib import Path

import pytest

from trioecho.base.accept_queue import LONGEST_QUEUE, queue_length


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not give the number")
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_it_is_the_number_of_connections_that_nobody_has_accepted(family: int) -> None:
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    with contextlib.ExitStack() as clients:
        listening = clients.enter_context(socket.socket(family))
        try:
            listening.bind((address, 0))
        except OSError:
            pytest.skip("no IPv6 here")
        listening.listen(100)
        for number in range(5):
            assert queue_length(listening, else_at_most=LONGEST_QUEUE) == number
            clients.enter_context(socket.create_connection(listening.getsockname()[:2]))
        listening.accept()[0].close()
        assert queue_length(listening, else_at_most=LONGEST_QUEUE) == 4


def test_where_the_system_does_not_give_the_number_it_is_the_most(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        assert queue_length(listening, else_at_most=LONGEST_QUEUE) == LONGEST_QUEUE
