"""A client that takes the memory which this machine needs is ended in any case, and that is said."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace

import pytest

from tests.support.check_clients import settings_for
from tests.support.guard import guarded
from trioecho.base.memory import available_bytes
from trioecho.check.clients.book import CLIENTS
from trioecho.check.clients.suite import check_client
from trioecho.check.preflight.result import CannotCheckError
from trioecho.check.runner.host import Target
from trioecho.check.spawned.memory_watch import MemoryBound
from trioecho.check.verdict import SuiteResult, Verdict

pytestmark = pytest.mark.skipif(available_bytes() is None, reason="this system has no /proc/meminfo")
MIB = 1 << 20

# Takes memory before it connects, with replies that are right, or when one is wrong.
TAKES_MEMORY = """
import socket, sys, time
port, when = int(sys.argv[1]), sys.argv[2]

def take():
    taken = b"x" * (300 << 20)
    time.sleep(600)

if when == "before":
    take()
with socket.create_connection(("127.0.0.1", port)) as sock:
    frame = b"\\0\\0\\0\\5hello"
    for _ in range(3):
        sock.sendall(frame)
        reply = sock.recv(9, socket.MSG_WAITALL)
        if reply != frame or when == "right":
            take()
"""


async def checked(when: str, case: str) -> SuiteResult:
    command = shlex.join([sys.executable, "-c", TAKES_MEMORY, "{port}", when])
    settings = replace(settings_for(command, reply_timeout_s=60), memory_bound=MemoryBound(400 * MIB))
    with guarded(120):
        return await check_client(Target(command), settings, rules=CLIENTS.select([case]), jobs=2)


@pytest.mark.parametrize(
    ("when", "case", "cause_id"),
    [("right", "C1.1", "takes-all-memory"), ("wrong", "C2.1", "trusts-reply-length")],
)
async def test_a_client_that_takes_too_much_memory_is_ended(when: str, case: str, cause_id: str) -> None:
    result = await checked(when, case)
    [found] = result.results
    assert found.verdict is Verdict.FAIL
    assert "MiB of memory, and was ended" in found.summary
    assert [cause.id for cause in result.causes] == [cause_id]


async def test_a_client_that_takes_too_much_before_it_connects() -> None:
    with pytest.raises(
        CannotCheckError, match=r"took \d+ MiB of memory, and was ended before it had connected"
    ):
        await checked("before", "C1.1")
