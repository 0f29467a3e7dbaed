"""A server that does not echo is asked what it is; one that echoes is not disturbed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from tests.load.test_run import echo, serving
from tests.support.guard import GUARD_S, guarded
from tests.support.in_process import run_in_process
from tests.support.other_services import answer_lines, be_silent, echo_little_endian, speak_tls
from trioecho import FrameFormat
from trioecho.client.asking import ask_what_it_is
from trioecho.client.session import CannotVerifyError, EchoPlan, verify_server
from trioecho.client.verifying import EchoSummary, NoEchoError


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.client.session._SILENCE_S", 0.02)


def wait_for_answers(monkeypatch: pytest.MonkeyPatch, patience_s: float) -> None:
    """Set how long an answer may take: little for servers that never answer, else much."""
    monkeypatch.setattr("trioecho.client.asking._PATIENCE_S", patience_s)


def echo_u8_with_header(peer: socket.socket) -> None:
    with peer.makefile("rb") as stream:
        while header := stream.read(1):
            peer.sendall(header + stream.read(header[0] - 1))


async def test_of_a_length_of_one_byte_the_header_may_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_answers(monkeypatch, 5.0)
    with serving(echo_u8_with_header) as port, guarded():
        asked = await ask_what_it_is("127.0.0.1", port, FrameFormat(1))
    assert asked == "replies to frames whose headers are u8+header, not u8: give --format u8+header"


@pytest.mark.parametrize(("handler", "patience_s"), [(be_silent, 0.02), (echo, GUARD_S)])
async def test_who_is_silent_or_sends_back_every_byte_is_nothing_else(
    handler: Callable[[socket.socket], None], patience_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frames of every format come back from a server that sends back every byte."""
    wait_for_answers(monkeypatch, patience_s)
    with serving(handler) as port, guarded():
        assert await ask_what_it_is("127.0.0.1", port, FrameFormat()) is None


@pytest.mark.parametrize(
    ("handler", "finding"),
    [
        (answer_lines, "is an HTTP server"),
        (speak_tls, "is a TLS server: give --tls"),
        (echo_little_endian, "replies to frames whose headers are u32le, not u32be: give --format u32le"),
    ],
)
@pytest.mark.parametrize("messages", [1, 10])
async def test_a_silent_server_is_asked_what_it_is(
    handler: Callable[[socket.socket], None], finding: str, messages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_answers(monkeypatch, GUARD_S)
    summary = EchoSummary()
    with serving(handler) as port, guarded():
        with pytest.raises(CannotVerifyError) as caught:
            await verify_server(EchoPlan("127.0.0.1", port, messages, timeout_s=0), summary)
    assert str(caught.value) == f"127.0.0.1:{port} {finding}"
    assert summary.messages == 0


async def test_who_never_says_anything_is_waited_for_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_answers(monkeypatch, 0.02)
    with serving(be_silent) as port, guarded():
        with pytest.raises(NoEchoError, match=r"^message 1: no echo within 0.3 s$"):
            await verify_server(EchoPlan("127.0.0.1", port, timeout_s=0.3), EchoSummary())


def slow(peer: socket.socket) -> None:
    """Echo frames, but the first one late."""
    time.sleep(0.1)
    while piece := peer.recv(1 << 16):
        peer.sendall(piece)


async def test_an_echo_that_is_slow_is_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_answers(monkeypatch, GUARD_S)
    summary = EchoSummary()
    with serving(slow) as port, guarded():
        await verify_server(EchoPlan("127.0.0.1", port, 10), summary)
    assert summary.messages == 10


def test_the_command_says_it_in_one_line_and_long_before_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_answers(monkeypatch, GUARD_S)
    with serving(answer_lines) as port:
        done = run_in_process("client", f"127.0.0.1:{port}", "--timeout", "0")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"trioecho client: 127.0.0.1:{port} is an HTTP server\n"
