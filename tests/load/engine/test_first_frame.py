"""One frame first: what is no server of frames gets no load, and is named; an echo sees no difference."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.load.test_run import serving
from tests.support.guard import guarded
from tests.support.in_process import run_in_process
from tests.support.load_world import MS, START, S, Server, World, WorldSocket, driven_in_world
from tests.support.other_services import answer_lines, echo_little_endian, speak_tls
from tests.support.slow import slow
from trioecho import FrameFormat
from trioecho.client.strange_replies import no_frame
from trioecho.load import LoadPlan, StrangeServerError, run_load
from trioecho.load.engine.engine import Engine

Reply = Callable[[bytes], bytes]

MODES = pytest.mark.parametrize(
    "mode",
    [{}, {"pipeline": 16}, {"rate": 1000.0}, {"think_s": 0.01}, {"warmup_s": 0.1, "pipeline": 3}],
    ids=["closed", "pipelined", "open", "think", "warm-up"],
)


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("h", 1, **{"connections": 4, "messages": 20, "timeout_s": 2.0, **changes})


class CountingServer(Server):
    """Replies after 10 ms as it is told, and counts the frames that come; may end each connection then."""

    def __init__(
        self,
        reply: Reply = lambda frame: frame,
        *,
        ends: bool = False,
        reset: bool = False,
    ) -> None:
        self.reply, self.ends, self.reset = reply, ends, reset
        self.frames: Counter[int] = Counter()

    def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
        self.frames[connection.number] += 1
        now = connection.world.now
        connection.deliver(self.reply(frame), now + 10 * MS)
        if self.ends:
            connection.end(now + 10 * MS, reset=self.reset)


def refusal_by(server: Server, plan: LoadPlan, **options: Any) -> str | None:
    engine = driven_in_world(plan, server, is_cautious=True, **options)
    return engine.first_reply.refusal if engine.first_reply is not None else None


@MODES
def test_a_right_server_gets_exactly_the_load(mode: dict[str, Any]) -> None:
    server = CountingServer()
    engine = driven_in_world(plan_of(**mode), server, is_cautious=True)
    result = engine.result()
    assert engine.first_reply is None
    assert (result.sent, result.messages, result.errors) == (80, 80, {})
    assert sum(server.frames.values()) == 80 or "warmup_s" in mode
    assert result.latency_ns.count == 80


@pytest.mark.parametrize("pipeline", [1, 64])
def test_until_the_first_reply_there_is_one_frame(pipeline: int) -> None:
    server = CountingServer()
    seen = []

    def on_turn(engine: Engine, world: World) -> None:
        if world.now < START + 10 * MS:
            seen.append(sum(server.frames.values()))

    driven_in_world(plan_of(pipeline=pipeline), server, is_cautious=True, on_turn=on_turn)
    assert set(seen) == {1}


ANSWERS = [
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is an HTTP server"),
    (b"<!DOCTYPE HTML>\n<html>", "is an HTTP server"),
    (b"\x15\x03\x01\x00\x02\x02\x46", "is a TLS server"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "is an SSH server"),
    (b"-ERR unknown command\r\n", "is a Redis server"),
    (b"ERR unknown command\n", "replies with text, not with frames: b'ERR unknown command\\n'"),
    (b'{"error": 400}', "replies with JSON, not with frames: b'{\"error\": 400}'"),
    (
        b"\x40\0\0\0" + bytes(64),
        "replies with what is no frame of u32be with at most 64 bytes, b'@" + "\\x00" * 23 + "' ...: "
        "read as little-endian it would be 64; does the peer use that byte order?",
    ),
    (
        b"\xfe\xdc\xba\x98\x76",
        "replies with what is no frame of u32be with at most 64 bytes, b'\\xfe\\xdc\\xba\\x98v'",
    ),
]


@MODES
@pytest.mark.parametrize(("answer", "finding"), ANSWERS)
@pytest.mark.parametrize("ends", [False, True])
def test_something_else_is_named_at_its_first_answer(
    mode: dict[str, Any], answer: bytes, finding: str, ends: bool
) -> None:
    server, world = CountingServer(lambda frame: answer, ends=ends), World()
    assert refusal_by(server, plan_of(**mode), world=world) == finding
    assert world.now <= START + 25 * MS
    if "rate" not in mode and "think_s" not in mode:
        assert sum(server.frames.values()) == 1


@MODES
def test_a_server_that_is_silent(mode: dict[str, Any]) -> None:
    server, world = CountingServer(lambda frame: b""), World()
    refusal = refusal_by(server, plan_of(**mode, sizes=plan_of().sizes), world=world)
    assert refusal is not None
    assert refusal.startswith(
        "sent nothing within 2 s after the first frame: does it take frames of 64 bytes"
    )
    assert START + 2 * S < world.now < START + 2.5 * S


@MODES
@pytest.mark.parametrize(("reset", "how"), [(False, "ended"), (True, "reset")])
def test_a_server_that_closes(mode: dict[str, Any], reset: bool, how: str) -> None:
    server = CountingServer(lambda frame: b"", ends=True, reset=reset)
    refusal = refusal_by(server, plan_of(**mode))
    assert refusal is not None
    assert refusal.startswith(f"{how} the connection without a reply to the first frame: does it take")


@MODES
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (lambda frame: frame[:10] + bytes([frame[10] ^ 1]) + frame[11:], "wrong"),
        (lambda frame: frame * 2, "duplicated"),
        (lambda frame: (2).to_bytes(4, "big") + b"ok", "wrong"),
        (lambda frame: b"\0\0\0\0" + frame, "wrong"),
    ],
)
def test_who_answers_frames_gets_the_load_right_or_wrong(
    mode: dict[str, Any], reply: Reply, kind: str
) -> None:
    result = driven_in_world(plan_of(**mode), CountingServer(reply), is_cautious=True).result()
    assert result.sent == 80
    assert result.errors[kind] >= 40


@MODES
def test_a_reply_that_is_torn_is_one_of_an_echo(mode: dict[str, Any]) -> None:
    engine = driven_in_world(
        plan_of(**mode), CountingServer(lambda frame: frame[:40], ends=True), is_cautious=True
    )
    assert engine.first_reply is None
    assert engine.result().errors["torn"] >= 1


@MODES
def test_a_server_of_one_connection_gets_the_load(mode: dict[str, Any]) -> None:
    """It closes all others when they come, before the first reply."""

    def on_turn(engine: Engine, world: World) -> None:
        if world.now < START + 2 * MS:
            for connection in list(engine._connections.values())[1:]:
                closing: Any = connection.socket
                closing.end()

    engine = driven_in_world(plan_of(**mode), CountingServer(), is_cautious=True, on_turn=on_turn)
    assert engine.first_reply is None
    assert engine.result().messages >= 20


def test_what_lost_its_framing_later_is_told_with_what_came() -> None:
    count = 0

    def reply(frame: bytes) -> bytes:
        nonlocal count
        count += 1
        return frame if count < 5 else b"\x40\0\0\0rest"

    result = driven_in_world(plan_of(connections=1), CountingServer(reply), is_cautious=True).result()
    [lost] = [found for found in result.discrepancies if found.kind == "framing_lost"]
    assert "read as little-endian it would be 64" in lost.detail
    assert "max_frame_length" not in lost.detail  # which no option of a load is called


def test_what_a_load_cannot_do_is_never_advised() -> None:
    for data in (b"\x7f\xff\xff\xff", b"\0\1\0\1", b"\0\x20\0\0" + bytes(100), b"GET / HTTP/1.1\r\n"):
        for frames_before in (0, 3):
            assert "max_frame_length" not in no_frame(data, FrameFormat(), 64, frames_before)


# ---- over sockets ----


def plan_for(port: int, **changes: Any) -> LoadPlan:
    return LoadPlan("127.0.0.1", port, **{"timeout_s": 30.0, **changes})


@pytest.mark.parametrize("processes", [1, slow(2)])
async def test_a_silent_server_is_asked_what_it_is(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.load.processes.local._SILENCE_S", 0.05)
    for handler, finding in (
        (answer_lines, "is an HTTP server"),
        (speak_tls, "is a TLS server: give --tls"),
        (
            echo_little_endian,
            "replies to frames whose headers are u32le, not u32be: give --format u32le",
        ),
    ):
        with serving(handler) as port, guarded():
            with pytest.raises(StrangeServerError) as caught:
                await run_load(plan_for(port, processes=processes))
        assert str(caught.value) == f"127.0.0.1:{port} {finding}"


def test_the_command_says_it_in_one_line() -> None:
    def http(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with serving(http) as port:
        for options in ((), ("--rate", "100"), ("--processes", "2"), ("--find-max", "--slo", "p99<1s")):
            done = run_in_process("load", f"127.0.0.1:{port}", *options)
            assert (done.returncode, done.stdout) == (3, "")
            assert done.stderr == f"trioecho load: 127.0.0.1:{port} is an HTTP server\n"
