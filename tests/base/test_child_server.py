"""A server as a child process: what it prints is read, and it is gone when the block is left."""

from __future__ import annotations

import os
import sys

import pytest
import trio

from tests.support.guard import GUARD_S, guarded
from trioecho.base.child_server import ChildServerError, open_child_server
from trioecho.base.processes import Program

LISTENS = "import os, sys, time; print('listening on 127.0.0.1:7', file=sys.stderr, flush=True)\n"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def python(code: str) -> Program:
    return Program([sys.executable, "-c", code])


async def test_all_lines_are_read_before_the_end_is_told() -> None:
    lines: list[str] = []
    program = python(LISTENS + "print('one\\ntwo'); print('bye', file=sys.stderr); sys.exit(3)")
    with guarded():
        async with open_child_server(
            program, start_timeout_s=GUARD_S, kill_after_s=GUARD_S, on_output_line=lines.append
        ) as server:
            assert server.port == 7
            assert await server.wait_ended(GUARD_S) == 3
            assert (lines, server.last_log_line) == (["one", "two"], "bye")


@pytest.mark.parametrize("kill_after_s", [0, 0.01])
async def test_a_server_that_ignores_sigterm_is_killed_at_the_end_of_the_block(kill_after_s: float) -> None:
    started: list[int] = []
    with guarded():
        async with open_child_server(
            python(IGNORES_SIGTERM + LISTENS + "time.sleep(999)"),
            start_timeout_s=GUARD_S,
            kill_after_s=kill_after_s,
            on_start=started.append,
        ) as server:
            assert started == [server.pid]
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit('no luck')", "the server did not start; its last line was: no luck"),
        ("", "the server did not start; it wrote nothing"),
    ],
)
async def test_a_server_that_ends_instead_says_why(code: str, words: str) -> None:
    with guarded(), pytest.raises(ChildServerError) as caught:
        async with open_child_server(python(code), start_timeout_s=GUARD_S, kill_after_s=0):
            pass
    assert str(caught.value) == words


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    async def fail() -> None:
        program = python(LISTENS + "time.sleep(999)")
        async with open_child_server(program, start_timeout_s=GUARD_S, kill_after_s=0):
            await trio.lowlevel.checkpoint()
            raise KeyError

    with guarded(), pytest.raises(KeyError):
        await fail()
