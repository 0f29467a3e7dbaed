"""Messages that every connection sends first: a login, before any load."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.in_process import run_in_process
from tests.support.slow import slow
from tests.support.wire import frame
from trioecho.base.message import Message
from trioecho.base.message_template import Template
from trioecho.framing import FrameFormat, encode_frame
from trioecho.guide import read_topic
from trioecho.load import (
    LoadPlan,
    LoadResult,
    MessageList,
    ReplyRule,
    ServiceTraits,
    StrangeServerError,
    result_from_json,
    run_load,
)
from trioecho.load.engine.greeting import Greeting, GreetingError, bytes_missing
from trioecho.load.message_list import GivenMessages
from trioecho.load.processes.message_parts import messages_from_parts, messages_in_parts
from trioecho.load.processes.messages import LoadWorkerConfig, decode_load_message, encode_load_message

GOOD = (0, 5)
LOGIN = MessageList("login.jsonl", [Message(b"user"), Message(b"secret", b"welcome")])


class LoginService:
    """Lets clients in that send "user" and "secret", each after the reply before; then it echoes.

    Args:
      welcomes: what it replies to the second, on the n-th connection (from 0) that gets there.
    """

    def __init__(self, welcomes: Callable[[int], bytes | None] = lambda number: frame(b"welcome")) -> None:
        self.welcomes = welcomes
        self.logins = 0
        self.too_early = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self._listener.accept()[0],), daemon=True).start()

    def stop(self) -> None:
        with self._listener, contextlib.suppress(OSError):  # wakes the thread; closing alone does not
            self._listener.shutdown(socket.SHUT_RDWR)

    def serve(self, peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError):
            if self.received(peer, 8) != frame(b"user"):
                return
            peer.sendall(frame(b"password?"))
            if self.received(peer, 10) != frame(b"secret"):
                return
            peer.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                self.too_early += len(peer.recv(1))  # nothing may come before the reply
            peer.setblocking(True)
            with self._lock:
                number, self.logins = self.logins, self.logins + 1
            welcome = self.welcomes(number)
            if welcome is None:
                return
            peer.sendall(welcome)
            while data := peer.recv(1 << 16):
                peer.sendall(data)

    def received(self, peer: socket.socket, count: int) -> bytes:
        data = b""
        while len(data) < count and (more := peer.recv(count - len(data))):
            data += more
        return data


@contextlib.contextmanager
def serving(service: LoginService) -> Iterator[LoginService]:
    thread = threading.Thread(target=service.accept, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join()


async def run(service: LoginService, first: MessageList | None = LOGIN, **plan: object) -> LoadResult:
    traits = ServiceTraits(None if first is None else first.source)
    made = LoadPlan("127.0.0.1", service.port, messages=4, service=traits, **plan)  # type: ignore[arg-type]
    return await run_load(made, first_messages=first)


async def test_every_connection_sends_them_first_and_they_are_in_no_number() -> None:
    with serving(LoginService()) as service:
        result = await run(service, connections=7, pipeline=2)
    assert (service.logins, service.too_early) == (7, 0)
    assert (result.sent, result.messages, result.errors) == (28, 28, {})
    assert (result.latency_ns.count, result.connect_ns.count) == (28, 7)
    assert result.bytes == 28 * 68


async def test_a_schedule_begins_behind_them() -> None:
    with serving(LoginService()) as service:
        result = await run(service, connections=3, rate=1000)
    assert (service.logins, result.sent, result.messages, result.errors) == (3, 12, 12, {})


@pytest.mark.parametrize(
    ("welcome", "words"),
    [
        (frame(b"go away"), "sent a wrong reply to first message 2 of login.jsonl: from byte 0 expected "),
        (frame(b"welcom"), "first message 2 of login.jsonl: 6 bytes instead of 7"),
        (None, "ended the connection after first message 2 of login.jsonl: it closed it without a reply"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is an HTTP server, after first message 2 of login.jsonl"),
        (b"\xff" * 9, "replied with what is no frame of u32be with at most 16,777,216 bytes, "),
    ],
)
async def test_a_server_that_fails_at_once_is_no_server_for_this_load(
    welcome: bytes | None, words: str
) -> None:
    with serving(LoginService(lambda number: welcome)) as service:
        with pytest.raises(StrangeServerError) as error:
            await run(service)
    assert words in str(error.value)
    assert str(error.value).startswith(f"127.0.0.1:{service.port} ")


class SlowSocket:
    """Sends a byte at a time, and receives what is given, a byte at a time; then nothing for ever."""

    def __init__(self, to_receive: bytes) -> None:
        self.sent = b""
        self._to_receive = bytearray(to_receive)

    async def send(self, data: memoryview) -> int:
        await trio.lowlevel.checkpoint()
        self.sent += data[:1]
        return 1

    async def recv(self, most: int) -> bytes:
        if not self._to_receive:
            await trio.sleep_forever()
        await trio.sleep(1)
        return bytes([self._to_receive.pop(0)])


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (b"", "sent no reply to first message 1 of login.jsonl within 10 s"),
        (b"\0\0", "sent no reply to first message 1 of login.jsonl within 10 s, but 2 bytes of one"),
        (b"\0\0\0\x02ok", "sent no reply to first message 2 of login.jsonl within 10 s"),
        (
            b"\0\0\0\x08password",
            "sent no reply to first message 1 of login.jsonl within 10 s, but 9 bytes of one",
        ),
    ],
)
async def test_each_reply_has_the_timeout_of_the_plan(
    received: bytes, reason: str, autojump_clock: trio.testing.MockClock
) -> None:
    greeting = Greeting(LoadPlan("h", 1, service=ServiceTraits(LOGIN.source)), LOGIN)
    slow_socket = SlowSocket(received)
    with pytest.raises(GreetingError) as error:
        await greeting.exchange(cast("trio.socket.SocketType", slow_socket), 0)
    assert str(error.value) == reason
    assert slow_socket.sent == frame(b"user") + (frame(b"secret") if "message 2" in reason else b"")


# A session that begins with a message of another format, and has several replies to it.
STARTUP = MessageList("startup.jsonl", [Message(b"\xff\0\0hi", is_raw=True, until=b"\0\0\0\x05ready")])


@pytest.mark.parametrize(
    ("received", "reason"),
    [
        (frame(b"one") + frame(b"") + frame(b"ready"), None),
        (frame(b"ready"), None),
        (
            frame(b"one") + frame(b"two") + b"\0\0",
            "sent no reply to first message 1 of startup.jsonl within 99 s, but 2 bytes of one; no frame "
            "came that begins 00 00 00 05 72 65 61 64 79, and the last one was b'\\x00\\x00\\x00\\x03two'",
        ),
        (
            b"",
            "sent no reply to first message 1 of startup.jsonl within 99 s; no frame came that begins "
            "00 00 00 05 72 65 61 64 79",
        ),
    ],
)
async def test_a_session_may_open_with_bytes_in_no_frame_and_with_several_replies(
    received: bytes, reason: str | None, autojump_clock: trio.testing.MockClock
) -> None:
    plan = LoadPlan("h", 1, service=ServiceTraits(STARTUP.source), timeout_s=99)
    slow_socket = SlowSocket(received + b"more")
    if reason is None:
        await Greeting(plan, STARTUP).exchange(cast("trio.socket.SocketType", slow_socket), 0)
        assert await slow_socket.recv(1) == b"m"
    else:
        slow_socket = SlowSocket(received)
        with pytest.raises(GreetingError) as error:
            await Greeting(plan, STARTUP).exchange(cast("trio.socket.SocketType", slow_socket), 0)
        assert str(error.value) == reason
    assert slow_socket.sent == b"\xff\0\0hi"


def test_what_opens_a_connection_comes_to_every_process_whole() -> None:
    template = Template("\\xff{{connection}}", "text")
    made = MessageList("s", [*STARTUP.messages, Message(b"", template=template, is_raw=True)])
    [_, back], _ = messages_from_parts([*messages_in_parts(GivenMessages(None, made), length=9)])
    assert back is not None
    assert (back.messages, back.source) == (made.messages, made.source)
    assert MessageList("startup.jsonl", [Message(b"\xff\0\0hi")]).source != STARTUP.source


async def test_other_connections_go_on_when_one_is_not_let_in() -> None:
    def welcomes(number: int) -> bytes:
        return frame(b"go away") if number == 2 else frame(b"welcome")

    with serving(LoginService(welcomes)) as service:
        result = await run(service, connections=5)
    assert result.errors == {"first_message_failed": 1, "unsent": 4}
    assert (result.sent, result.messages, result.connections_opened) == (16, 16, 4)
    [found] = [found for found in result.discrepancies if found.kind == "first_message_failed"]
    assert found.number == 2
    assert "sent a wrong reply to first message 2 of login.jsonl" in found.detail


async def test_what_follows_the_last_reply_is_left_for_the_load() -> None:
    """A frame too many is seen as what it is, and not lost."""
    with serving(LoginService(lambda number: frame(b"welcome") + frame(b"news"))) as service:
        result = await run(service, connections=1, reply=ReplyRule("echo"))
    assert sum(result.errors.values()) >= 1
    assert result.sent == 4


async def test_without_them_the_same_service_gets_no_load() -> None:
    with (
        serving(LoginService()) as service,
        pytest.raises(StrangeServerError, match="the connection without a reply"),
    ):
        await run(service, first=None)


async def test_messages_that_are_not_the_plans() -> None:
    plan = LoadPlan("h", 1, service=ServiceTraits(LOGIN.source))
    for processes in (1, 2):
        for messages in (None, MessageList("a", [Message(b"b")])):
            with pytest.raises(ValueError, match="first messages"):
                await run_load(
                    LoadPlan("h", 1, service=plan.service, processes=processes), first_messages=messages
                )


def test_a_plan_with_them_can_be_read_again() -> None:
    plan = LoadPlan("h", 1, service=ServiceTraits(LOGIN.source))
    assert LoadPlan.from_dict(plan.to_dict()) == plan
    old = {name: value for name, value in plan.to_dict().items() if name != "service"}
    assert LoadPlan.from_dict(old).service == ServiceTraits()
    config = LoadWorkerConfig(plan, 0, 1, 1.0, False)
    assert decode_load_message(encode_load_message(config)) == config


FORMATS = (
    *("u8", "u16le", "u32be", "u64be+header", "varint4", "any1,varint4"),
    *("netstring", "dns", "postgres", "fastcgi", "pad8,u8"),
)


@examples(100)
@given(
    format=st.sampled_from(FORMATS).map(FrameFormat.parse),
    payload=st.binary(max_size=200),
    padding=st.integers(0, 255),
)
def test_never_more_is_taken_than_one_frame_has(format: FrameFormat, payload: bytes, padding: int) -> None:
    headers = {"x01,any3,u16be,pad8,any1": b"\1\0\0\0%c\0" % padding, "pad8,u8": b"%c" % padding}
    wire = encode_frame(payload, format=format, header=headers.get(str(format)))
    received = bytearray()
    while len(received) < len(wire):
        missing = bytes_missing(received, format)
        assert 1 <= missing <= len(wire) - len(received)
        received += wire[len(received) : len(received) + missing]


# ---- the command ----


@pytest.mark.parametrize("workers", [slow("1"), "2"])
def test_the_command(tmp_path: Path, workers: str) -> None:
    """That of the guide."""
    [words] = re.findall(
        r"^\$ trioecho (load 127.0.0.1:7000 --first-message .*)", read_topic("load"), re.MULTILINE
    )
    (tmp_path / "login.jsonl").write_text('"user"\n{"text": "secret", "reply": "welcome"}\n')
    (tmp_path / "words.jsonl").write_text('"ping"\n')
    with serving(LoginService()) as service:
        options = ("-n", "5", "--workers", workers, "--json", "a.json")
        command = words.replace("7000", str(service.port)).split()
        done = run_in_process(*command, *options, cwd=tmp_path)
    assert done.returncode in GOOD, done.stderr
    assert "first messages from login.jsonl (2 messages)" in done.stdout.replace("\n  ", " ")
    result = result_from_json((tmp_path / "a.json").read_text())
    assert (service.logins, result.messages, result.errors) == (5, 25, {})
    assert result.plan.service.first_messages is not None


def message_of_postgresql(kind: bytes, payload: bytes) -> bytes:
    return kind + (4 + len(payload)).to_bytes(4, "big") + payload


class Database(LoginService):
    """Replies as PostgreSQL does: to a startup packet, and to a query."""

    def serve(self, peer: socket.socket) -> None:
        say = message_of_postgresql
        with peer, contextlib.suppress(OSError):
            size = int.from_bytes(self.received(peer, 4), "big")
            if b"user\0postgres\0" not in self.received(peer, size - 4):
                peer.sendall(say(b"E", b"SFATAL\0\0"))
                return
            with self._lock:
                self.logins += 1
            peer.sendall(say(b"R", bytes(4)) + say(b"S", b"TimeZone\0UTC\0") + say(b"Z", b"I"))
            while self.received(peer, 1) == b"Q":
                self.received(peer, int.from_bytes(self.received(peer, 4), "big") - 4)
                row = say(b"D", b"\0\1\0\0\0\x0242")
                peer.sendall(say(b"T", b"\0\1?column?\0" + bytes(18)) + row)
                peer.sendall(say(b"C", b"SELECT 1\0") + say(b"Z", b"I"))


@pytest.mark.parametrize("workers", ["1", slow("2")])
def test_the_command_for_a_database(tmp_path: Path, workers: str) -> None:
    """That of the guide, with its files."""
    guide = read_topic("load")
    [words] = re.findall(r"^\$ trioecho (load .*--format postgres --first-message .*)", guide, re.MULTILINE)
    [startup] = re.findall(r"```json\n(.*\"raw\".*\n)```", guide)
    [queries] = re.findall(r"```python\n((?:(?!```)[\s\S])*yield None[\s\S]*?)```", guide)
    (tmp_path / "startup.jsonl").write_text(startup)
    (tmp_path / "queries.py").write_text(queries)
    with serving(Database()) as service:
        command = words.replace("5432", str(service.port)).split()
        options = ("-n", "5", "-c", "4", "--workers", workers, "--json", "a.json")
        done = run_in_process(*command, *options, cwd=tmp_path)
        (tmp_path / "startup.jsonl").write_text(startup.replace("7573657200 706f", "7573657200 716f"))
        refused = run_in_process(*command, cwd=tmp_path)
    assert done.returncode in GOOD, done.stderr
    result = result_from_json((tmp_path / "a.json").read_text())
    assert (service.logins, result.messages, result.errors) == (4, 20, {})
    assert refused.returncode == 3
    assert "no frame came that begins 5a, and the last one was b'E" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_wrong_reply_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "login.jsonl").write_text('{"text": "user", "reply": "hello"}')
    with serving(LoginService()) as service:
        done = run_in_process(
            "load", f"127.0.0.1:{service.port}", "--first-message", "login.jsonl", cwd=tmp_path
        )
    assert done.returncode == 3
    line = f"trioecho load: 127.0.0.1:{service.port} sent a wrong reply to first message 1 of login.jsonl: "
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_of_no_use(tmp_path: Path) -> None:
    (tmp_path / "login.jsonl").write_text('"user"\nsecret\n')
    for name, words in (
        ("none.jsonl", "none.jsonl: No such file or directory"),
        ("login.jsonl", "login.jsonl, line 2: column 1: Expecting value"),
    ):
        done = run_in_process("load", "127.0.0.1:9", "--first-message", str(tmp_path / name))
        assert done.returncode == 2
        assert f"trioecho load: --first-message: {tmp_path / name}"[: -len(name)] in done.stderr
        assert words in done.stderr
