"""Clients in processes of their own: ours, a student's, and those that are none."""

from __future__ import annotations

import contextlib
import shlex
import sys
from pathlib import Path

import pytest
import trio

from tests.support.check_clients import check_command_of_client
from tests.support.check_servers import by_id
from tests.support.guard import guarded
from tests.support.slow import slow
from trioecho.check.client.settings import Settings
from trioecho.check.client.wire import Wire
from trioecho.check.clients.book import CLIENTS
from trioecho.check.clients.suite import check_client
from trioecho.check.preflight.result import CannotCheckError
from trioecho.check.runner.host import Target
from trioecho.check.verdict import Verdict

OURS = shlex.join([sys.executable, "-m", "trioecho", "client", "{host}:{port}", "-n", "5"])
# As it is written at first: what one recv gives is the reply.
NAIVE = """
import socket, struct, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as sock:
    for number in range(10):
        message = f"message {number}".encode()
        sock.sendall(struct.pack(">I", len(message)) + message)
        reply = sock.recv(1024)
        if reply[4:] != message:
            sys.exit(f"message {number}: {reply!r}")
"""


def processes_with(argument: str) -> list[str]:
    """The processes that have this in their command, but for those that are ending."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument.encode() in file.read_bytes():
                found.append(file.parent.name)
    return found


def program(text: str, *words: str) -> str:
    return shlex.join([sys.executable, "-c", text, "{host}", "{port}", *words])


@pytest.mark.slow
async def test_our_client_keeps_every_rule() -> None:
    result = await check_command_of_client(OURS, reply_timeout_s=15)
    broken = {each.id: each.summary for each in result.results if each.verdict is not Verdict.PASS}
    assert set(broken) == {"C1.6", "C1.7", "C1.10", "C2.9", "C2.10"}, broken
    assert all("waits for each reply" in summary for summary in broken.values())
    assert result.outcome(strict=True) == "conformant"
    assert [each.id for each in result.results] == list(CLIENTS.rules)


async def test_our_client_keeps_rules_of_every_kind() -> None:
    result = await check_command_of_client(OURS, "C1.2", "C2.2", "C4.2")
    assert {each.id: each.verdict for each in result.results} == dict.fromkeys(
        ("C1.2", "C2.2", "C4.2"), Verdict.PASS
    )
    assert result.client is not None
    assert (result.client.messages, result.client.connections) == (5, 1)
    assert not result.client.is_pipelining


async def test_a_students_client_is_told_that_one_recv_is_not_one_frame() -> None:
    result = await check_command_of_client(program(NAIVE), "C1.1", "C1.2", "C1.4", "C1.5", "C2.1")
    found = by_id(result)
    assert [each.id for each in result.results if each.verdict is Verdict.FAIL] == ["C1.2", "C1.4", "C1.5"]
    [cause] = result.causes
    assert cause.words.startswith("One recv is not one frame")
    case = found["C1.2"]
    assert "ended with exit code 1" in case.actual
    assert case.attempts == 2
    assert any(note.startswith("the client wrote: message 0: b") for note in case.notes)
    assert [event.kind for event in case.transcript][:3] == ["event", "event", "received"]
    assert case.transcript[2].data.startswith(b"\0\0\0\x09message 0")
    # That it could not be sent to any more may be seen before or after it.
    assert "the client ended with exit code 1" in [event.text for event in case.transcript[3:]]
    assert "--client" in case.reproduce
    assert case.reproduce.endswith("C1.2 --seed 0 --reply-timeout 10s")


async def test_a_client_of_other_frames_is_checked_with_their_format() -> None:
    text = NAIVE.replace(">I", "<H").replace("[4:]", "[2:]")
    result = await check_command_of_client(program(text), "C1.1", "C2.1", wire=Wire(2, "little"))
    assert {each.verdict for each in result.results} == {Verdict.PASS}
    assert "--format u16le" in result.results[0].reproduce


CONNECT = "import socket, sys; sock = socket.create_connection((sys.argv[1], int(sys.argv[2]))); "


@pytest.mark.parametrize(
    ("text", "cause_id", "words"),
    [
        (CONNECT, "client-sends-nothing", "no byte came from the client; the client ended with exit code 0"),
        (
            CONNECT + "sock.sendall(b'hello\\n'); sock.recv(1)",
            "client-sends-text",
            "'hello\\n'; this is text",
        ),
        (
            CONNECT + "sock.sendall(b'\\0\\0\\0\\1x'); sock.recv(5); sys.exit(3)",
            "fails-with-right-server",
            "ended with exit code 3 though its message was echoed right, and wrote nothing about it",
        ),
        (
            CONNECT + "sock.sendall(b'\\0\\0\\0\\1x'); sock.recv(5); sys.exit('oh no')",
            "fails-with-right-server",
            "and wrote: oh no",
        ),
        slow(
            CONNECT + "sock.sendall(b'\\0\\0\\0\\1x'); sock.recv(5); sock.recv(1)",
            "client-does-not-end",
            "after 1 message, all of them echoed, the client neither sent anything nor ended",
        ),
    ],
)
async def test_the_first_look_says_at_once_what_is_wrong(text: str, cause_id: str, words: str) -> None:
    result = await check_command_of_client(program(text), spawn_timeout_s=5.0)
    first, *others = result.results
    assert (first.id, first.verdict) == ("C1.1", Verdict.FAIL)
    assert words in first.summary
    assert [cause.id for cause in result.causes] == [cause_id]
    assert {each.summary for each in others} == {f"not tried: {first.summary}"}
    assert result.outcome() == "not conformant"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program {port}", "cannot start 'no-such-program': No such file or directory"),
        (program("import sys; sys.exit('no homework yet')"), "has not connected to 127.0.0.1:"),
        (program("import sys; sys.exit('no homework yet')"), "its last line was: no homework yet"),
        (program("import time; time.sleep(60)"), "the client has not connected to 127.0.0.1:"),
    ],
)
async def test_a_client_that_does_not_connect_cannot_be_checked(command: str, words: str) -> None:
    with pytest.raises(CannotCheckError) as error:
        await check_command_of_client(command, spawn_timeout_s=1.0 if "sleep" in command else 60.0)
    assert words in str(error.value)


async def test_a_run_that_is_interrupted_keeps_what_was_decided_and_ends_all_clients(tmp_path: Path) -> None:
    mark = str(tmp_path)
    text = NAIVE.replace("timeout=5", "timeout=50")
    command = program(text, mark)
    interrupt = trio.Event()

    class SetsIt:
        def began(self, rule: object) -> None:
            pass

        def ended(self, rule: object, verdict: object, done: int, total: int) -> None:
            interrupt.set()

    with guarded():
        result = await check_client(
            Target(command),
            Settings(command=tuple(shlex.split(command)), spawn_timeout_s=60.0),
            rules=CLIENTS.select(["C1.1", "C3.6"]),
            observer=SetsIt(),
            interrupt=interrupt,
        )
    assert result.cut_short == "the run was interrupted"
    assert by_id(result)["C1.1"].verdict is Verdict.PASS
    assert by_id(result)["C3.6"].verdict is Verdict.INCONCLUSIVE
    assert processes_with(mark) == []
