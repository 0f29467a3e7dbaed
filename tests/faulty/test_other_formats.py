"""The bugs show in other frames than those of 4 bytes of length as well, and are found there."""

from __future__ import annotations

import contextlib
import shlex
import socket
import sys

import pytest
import trio

from tests.faulty.test_faulty import serve_until_stopped
from tests.support.check_clients import check_command_of_client
from tests.support.guard import GUARD_S, guarded
from tests.support.in_process import run_in_process
from tests.support.slow import slow
from tests.support.sockets import receive_all
from trioecho.check.book.book import select
from trioecho.check.client.wire import Wire
from trioecho.check.runner.suite import Settings, Target, check
from trioecho.check.spawned.spawned_server import parse_command
from trioecho.check.verdict import SuiteResult, Verdict
from trioecho.cli.check_wire import wire_of
from trioecho.cli.faulty_format import header_format_of
from trioecho.faulty import FAULTY_SERVERS, EchoServer
from trioecho.faulty.buffered import BufferedServer
from trioecho.faulty.clients import FAULTY_CLIENTS, EchoClient, PipeliningClient
from trioecho.faulty.header_format import HeaderFormat
from trioecho.framing import FrameFormat, encode_frame

BROKEN = (Verdict.FAIL, Verdict.WARN)
OTHERS = {
    "u8",
    "u16le",
    "u64be",
    "varint",
    "any1,varint4",
    "x30,ber",
    "dec4",
    "u31be:1",
    "any1,i32be+itself",
    "netstring",
    "amqp",
}


def wire(text: str) -> Wire:
    return wire_of(FrameFormat.parse(text))


def words_of_faulty(name: str, *words: str) -> str:
    return shlex.join([sys.executable, "-m", "trioecho", "faulty", name, *words])


async def check_server(name: str, text: str, *cases: str) -> SuiteResult:
    """Check a faulty server that is started as a person does it."""
    command = words_of_faulty(name, "--format", text, "--port", "{port}")
    settings = Settings(wire=wire(text), command=tuple(parse_command(command)), spawn_timeout_s=GUARD_S)
    with guarded(300):
        return await check(Target(command), settings, rules=select(cases), time_limit_s=300)


def broken_and_causes(result: SuiteResult) -> tuple[set[str], list[str]]:
    broken = {found.rule.id for found in result.results if found.verdict in BROKEN}
    return broken, [cause.id for cause in result.causes]


@pytest.mark.parametrize(
    ("name", "text", "cases"),
    [
        ("half-header", "varint", {"2.3"}),
        slow("short-payload", "u16le", {"2.4"}),
        slow("short-header", "u16le", {"2.3"}),
        slow("short-header", "u64be", {"2.3"}),
        slow("short-header", "postgres", {"2.3"}),
        slow("segment-is-message", "mqtt", {"2.3", "2.4", "2.5"}),
        slow("empty-is-heartbeat", "u8", {"1.1"}),
        slow("counts-header", "u16le", {"1.2"}),
        slow("little-endian", "u64be", {"1.2"}),
        slow("wide-header", "u16be", {"1.2"}),
        slow("one-byte-length", "u64be", {"1.4"}),
        slow("signed-length", "u64be", {"4.4"}),
        slow("length-overflow", "u64be", {"4.3"}),
        slow("length-of-text", "varint", {"1.10"}),
        slow("resynchronizes", "u16le", {"1.9"}),
        slow("out-of-order", "ldap", {"2.5"}),
        slow("cut-through", "dec4", {"2.8"}),
        slow("shared-buffer", "u16le", {"3.2"}),
        slow("closes-unread", "varint", {"4.7"}),
        ("short-payload", "netstring", {"2.4"}),
        slow("cut-through", "fastcgi", {"2.8"}),
        slow("short-send", "u32be", {"3.5"}),
        slow("short-send", "netstring", {"3.5"}),
        slow("short-send", "amqp", {"3.5"}),
        ("limit-off-by-one", "u32be", {"1.7"}),  # nobody gives a limit here
        slow("limit-off-by-one", "amqp", {"1.7"}),
        slow("limit-counts-header", "u32be", {"1.7"}),
        slow("segment-is-message", "amqp", {"2.3", "2.4", "2.5"}),
        slow("half-header", "amqp", {"2.3"}),
        slow("length-of-text", "netstring", {"1.10"}),
        slow("cut-through", "netstring", {"2.8"}),
        slow("echoes-truncated", "amqp", {"5.3"}),
        slow("never-flushed", "netstring", {"1.2"}),
        slow("echoes-truncated", "postgres", {"5.3"}),
        slow("dies-on-reset", "u16le", {"5.4"}),
        slow("ignores-sigterm", "u16le", {"6.3"}),
    ],
)
async def test_a_bug_of_a_server_is_found(name: str, text: str, cases: set[str]) -> None:
    broken, causes = broken_and_causes(await check_server(name, text, *cases))
    assert broken == cases
    assert causes[:1] == [FAULTY_SERVERS[name].bug.cause]


@pytest.mark.parametrize(
    ("name", "text", "cases"),
    [
        ("closes-with-reset", "varint", {"C5.2"}),
        slow("one-recv-per-message", "netstring", {"C1.4"}),
        slow("payload-in-one-recv", "amqp", {"C1.5"}),
        slow("drops-beginning", "netstring", {"C1.7"}),
        slow("half-is-enough", "amqp", {"C3.3"}),
        slow("makes-room-first", "amqp", {"C4.2"}),
        slow("one-recv-per-message", "u16be", {"C1.4"}),
        slow("one-recv-per-message", "varint", {"C1.4"}),
        slow("header-in-one-recv", "u16be", {"C1.3"}),
        slow("header-in-one-recv", "u64be", {"C1.3"}),
        slow("header-in-one-recv", "postgres", {"C1.3"}),
        slow("payload-in-one-recv", "varint", {"C1.5"}),
        slow("payload-in-one-recv", "postgres", {"C1.5"}),
        slow("compares-with-zip", "u16be", {"C2.3", "C2.5"}),
        slow("any-message", "postgres", {"C2.6", "C2.8"}),
        slow("end-is-done", "u64be", {"C3.1"}),
        slow("half-is-enough", "varint", {"C3.3"}),
        slow("reads-signed", "u64be", {"C4.3"}),
        slow("ignores-header", "postgres", {"C4.5"}),
        slow("says-goodbye", "u16be", {"C5.1"}),
        slow("says-goodbye", "varint", {"C5.1"}),
        slow("closes-with-reset", "postgres", {"C5.2"}),
        slow("swaps-bytes", "u16be", {"C1.1"}),
    ],
)
async def test_a_bug_of_a_client_is_found(name: str, text: str, cases: set[str]) -> None:
    command = words_of_faulty(name, "{host}:{port}", "--format", text)
    result = await check_command_of_client(command, *sorted(cases), wire=wire(text))
    broken, causes = broken_and_causes(result)
    assert broken == cases
    assert causes[:1] == [FAULTY_CLIENTS[name].bug.cause]


@pytest.mark.slow
@pytest.mark.parametrize("client", [EchoClient, PipeliningClient])
@pytest.mark.parametrize("text", ["u16be", "u64be", "varint", "postgres", "netstring", "amqp"])
async def test_the_honest_clients_keep_every_rule(client: type[EchoClient], text: str) -> None:
    format = header_format_of(FrameFormat.parse(text))  # noqa: A001 - the word of all commands
    program = (
        f"import sys; from {client.__module__} import {client.__name__} as Client; "
        f"from trioecho.faulty.header_format import HeaderFormat; "
        f"done = Client(sys.argv[1], int(sys.argv[2]), format={format!r}).run(); "
        f"print(done.words, file=sys.stderr); sys.exit(done.exit_code)"
    )
    command = shlex.join([sys.executable, "-c", program, "{host}", "{port}"])
    broken, causes = broken_and_causes(await check_command_of_client(command, wire=wire(text)))
    assert (broken, causes) == (set(), [])


# ---- the honest servers ----


@pytest.mark.parametrize("honest", [EchoServer, BufferedServer])
@pytest.mark.parametrize("text", sorted(OTHERS))
async def test_the_honest_servers_echo_frames(honest: type[EchoServer], text: str) -> None:
    format = FrameFormat.parse(text)  # noqa: A001 - the word of all commands

    def ask(server: EchoServer) -> None:
        sizes = [size for size in (0, 1, 40, 200, 9999, 70_000) if size <= server.limit]
        stream = b"".join(encode_frame(bytes([size & 0xFF]) * size, format=format) for size in sizes)
        with socket.create_connection(server.address) as peer:
            for byte in stream[:100]:
                peer.sendall(bytes([byte]))
            peer.sendall(stream[100:] + encode_frame(b"cut off", format=format)[:-1])
            peer.shutdown(socket.SHUT_WR)
            assert receive_all(peer) == stream

    with guarded(GUARD_S):
        server = honest(format=header_format_of(format))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_until_stopped, server)
            with contextlib.ExitStack() as stack:
                stack.callback(server.stop)
                await trio.to_thread.run_sync(ask, server)


# ---- what makes no sense ----


def test_every_bug_shows_in_the_usual_frames() -> None:
    usual = HeaderFormat()
    for name, server in FAULTY_SERVERS.items():
        assert server.bug.why_not(usual, server.default_limit) == "", name
    for name, client in FAULTY_CLIENTS.items():
        assert client.bug.why_not(usual, client.limit) == "", name


def test_what_a_bug_needs_is_explained() -> None:
    explained = " ".join(run_in_process("faulty", "--explain", "short-header").stdout.split())
    needs = "headers that all have as many bytes and headers of two bytes or more"
    assert explained.endswith(f"With --format it needs {needs}.")
    assert "--format" not in run_in_process("faulty", "--explain", "short-payload").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("short-header --format u8", "cannot show in frames of u8: it needs headers of two bytes or more"),
        ("short-header --format varint", "it needs headers that all have as many bytes"),
        ("little-endian --format u16le", "it needs headers with the most significant byte first"),
        ("wide-header --format u64be", "it needs headers of at most 4 bytes"),
        ("counts-header --format u32be+header", "it needs headers that are a number of bytes and nothing"),
        ("signed-length --format i32be", "it needs lengths without a sign"),
        ("two-byte-length --format u16be", "it needs lengths over 65,535"),
        ("no-limit --format u16be", "it needs lengths over the limit; give a smaller --max-frame-length"),
        ("no-limit --format u16be --max-frame-length 70000", "is more than the header can express, 65535"),
        (
            "length-overflow --format amqp",
            "cannot show in frames of any3,u32be,payload,xce: it needs nothing behind the payload",
        ),
        ("ignores-header 127.0.0.1:1 --format netstring", "it needs nothing behind the payload"),
        ("two-sends --format netstring", "it needs nothing behind the payload"),
        ("strips --format u32", "needs its byte order; write u32be or u32le"),
        ("swaps-bytes 127.0.0.1:1 --format u16le", "it needs headers with the most significant byte first"),
        ("makes-room-first 127.0.0.1:1 --format u16be", "it needs lengths over 268,435,456"),
        ("no-timeout 127.0.0.1:1 --format dec1", "lengths are too small for messages of 40 bytes"),
    ],
)
def test_a_combination_without_sense_is_refused_in_one_line(words: str, told: str) -> None:
    result = run_in_process("faulty", *words.split())
    assert result.returncode == 2
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1
