"""A server that takes too much memory is ended, and that is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.check_servers import command_of
from tests.support.guard import guarded
from trioecho.base.memory import available_bytes
from trioecho.check.spawned.memory_watch import MemoryBound
from trioecho.check.spawned.spawned_server import parse_command, spawn_server

MIB = 1 << 20
needs_proc = pytest.mark.skipif(available_bytes() is None, reason="this system has no /proc/meminfo")

# The memory is taken when a byte comes, by the server or by a process of its own.
TAKES_MEMORY = """
import os, socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
peer = server.accept()[0]
if peer.recv(1) and (sys.argv[2] == "itself" or not os.fork()):
    taken = b"x" * (400 << 20)
time.sleep(600)
"""


@needs_proc
@pytest.mark.parametrize("who", ["itself", "a child"])
async def test_a_server_that_takes_too_much_memory_is_killed(who: str) -> None:
    command = parse_command(command_of("-c", TAKES_MEMORY, "{port}", who))
    with guarded():
        async with spawn_server(command, timeout_s=30, memory_bound=MemoryBound(200 * MIB)) as (
            server,
            connection,
        ):
            with connection:
                await connection.send(b"x")
                await server.process.wait()
            assert server.has_died  # of its own fault
            assert re.fullmatch(
                r"was killed by the suite, as it had \d+\.\d MB of memory", server.how_it_ended
            )


@pytest.mark.parametrize(
    ("taken", "available", "is_exceeded"),
    [(100, 10, False), (101, 50, False), (101, 49, True), (101, None, True), (100_000, 50, False)],
)
def test_more_than_a_part_is_too_much_when_the_machine_is_short_of_memory(
    taken: int, available: int | None, is_exceeded: bool
) -> None:
    alone = MemoryBound(400, least_available_bytes=50)
    assert alone.shared_by(4).is_exceeded(taken, lambda: available) == is_exceeded
    assert MemoryBound(100).is_exceeded(taken) == (taken > 100)


def test_a_system_that_does_not_say_how_much_memory_is_left(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal:       24683740 kB\nMemAvailable:   22854000 kB\n")
    assert available_bytes(tmp_path) == 22_854_000 * 1024
    (tmp_path / "meminfo").write_text("MemTotal:       24683740 kB\n")
    assert available_bytes(tmp_path) is None
