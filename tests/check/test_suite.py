"""The suite against servers in processes of their own: good ones, broken ones, and those that are none."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from tests.support.check_servers import (
    accept,
    by_id,
    check_address,
    check_command,
    command_of,
    echo_frames,
    listening,
    run_case,
)
from tests.support.guard import guarded
from tests.support.processes import SERVE, SERVE_WITHOUT_REACTOR
from tests.support.slow import slow
from tests.support.sockets import LOOPBACK, receive_exactly
from trioecho.check.book.book import RULES, select
from trioecho.check.client.settings import Settings
from trioecho.check.client.wire import Wire
from trioecho.check.output.text import Palette, suite_lines
from trioecho.check.runner.host import open_host
from trioecho.check.runner.suite import CannotCheckError, Target, check
from trioecho.check.spawned.spawned_server import SpawnError, parse_command, spawn_server
from trioecho.check.verdict import Verdict

OURS = command_of(*SERVE, "--port", "{port}")
OURS_WITHOUT_REACTOR = command_of(*SERVE_WITHOUT_REACTOR, "--port", "{port}")


def one_frame_per_receive(peer: socket.socket) -> None:
    buffer = b""
    while data := peer.recv(1 << 16):
        buffer += data
        end = 4 + int.from_bytes(buffer[:4], "big")
        if len(buffer) >= max(4, end):
            peer.sendall(buffer[:end])
            buffer = b""


# ---- good servers ----


@pytest.mark.parametrize("command", [OURS, slow(OURS_WITHOUT_REACTOR)], ids=["reactor", "without-reactor"])
async def test_our_server_passes_every_case(command: str) -> None:
    result = await check_command(command, max_frame_length=1 << 20)
    assert [
        (each.id, each.verdict, each.summary) for each in result.results if each.verdict is not Verdict.PASS
    ] == []
    assert [each.id for each in result.results] == list(RULES)
    assert result.outcome(strict=True) == "conformant"
    assert result.causes == ()


async def test_a_server_that_listens_is_checked_but_for_what_needs_spawn() -> None:
    with listening(echo_frames) as address:
        result = await check_address(address, "1", "6", "4.1", jobs=8)
    found = by_id(result)
    assert {found[rule_id].verdict for rule_id in found if rule_id[0] == "1"} == {Verdict.PASS}
    assert {found[rule_id].verdict for rule_id in found if rule_id[0] == "6"} == {Verdict.NOT_APPLICABLE}
    assert found["4.1"].verdict is Verdict.PASS
    assert (result.command, result.address) == (None, f"{address[0]}:{address[1]}")


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        slow("u16le", Wire(2, "little")),
        slow("u8", Wire(1)),
        ("u64be+header", Wire(8, counts_header=True)),
    ],
)
async def test_other_headers(name: str, wire: Wire) -> None:
    command = command_of(*SERVE, "--port", "{port}", "--format", name)
    settings = Settings(wire=wire, command=tuple(parse_command(command)), spawn_timeout_s=30)
    with guarded(120):
        result = await check(
            Target(command),
            settings,
            rules=select(["1", "2.2", "4.1", "4.2", "4.4", "4.7", "7.1", "7.2"]),
        )
    assert result.outcome(strict=True) == "conformant"
    assert result.format == name


# ---- broken servers ----


async def test_a_failure_comes_with_its_evidence() -> None:
    with listening(one_frame_per_receive) as address:
        result = await check_address(address, "2.3", "2.4", "2.5", seed=7, jobs=8)
    found = by_id(result)
    broken = found["2.5"]
    assert [found["2.3"].verdict, found["2.4"].verdict, broken.verdict] == [
        Verdict.PASS,
        Verdict.PASS,
        Verdict.FAIL,
    ]
    assert broken.expected == "the echoes of 2 frames, 18 bytes"
    assert broken.actual.startswith("1 frame came back right, then nothing for ")
    assert broken.cause is not None
    assert broken.cause.id == result.causes[0].id == "one-parse-per-recv"
    assert broken.reproduce == f"trioecho check {address[0]}:{address[1]} 2.5 --seed 7"
    assert broken.attempts == 2  # its silence was not believed at once
    sent, received = (
        next(event for event in broken.transcript if event.kind == kind) for kind in ("sent", "received")
    )
    assert (sent.size_bytes, received.size_bytes) == (18, 9)
    assert sent.data.startswith(received.data)
    assert result.outcome() == "not conformant"


async def test_where_no_rule_can_be_tried_nothing_is_known() -> None:
    with listening(echo_frames) as address:
        result = await check_address(address, "6.3", "6.4")
    assert result.outcome() == "inconclusive"
    said = "\n".join(suite_lines(result, Palette(False), strict=False, is_verbose=False))
    assert "2 not applicable" in said
    assert ": inconclusive, none of these rules could be tried." in said


async def test_the_shortest_failing_stream_is_shown() -> None:
    with listening(one_frame_per_receive) as address:
        result = await check_address(address, "7.1", jobs=8)
    [broken] = result.results
    assert "(the shortest stream that fails: frames of 0, 0 bytes, in one piece)" in broken.actual
    assert [event.data for event in broken.transcript if event.kind == "sent"] == [bytes(8)]


async def test_a_server_that_goes_away_leaves_the_rest_inconclusive() -> None:
    stop = threading.Event()

    def until_garbage(peer: socket.socket) -> None:
        while len(header := receive_exactly(peer, 4)) == 4:
            length = int.from_bytes(header, "big")
            if length > 1 << 20:
                stop.set()
                server.shutdown(socket.SHUT_RDWR)
                return
            peer.sendall(header + receive_exactly(peer, length))

    with socket.create_server((LOOPBACK, 0)) as server:
        threading.Thread(target=accept, args=(server, until_garbage), daemon=True).start()
        result = await check_address(server.getsockname(), "4.8", "5.4", "5.6")
    found = by_id(result)
    assert stop.is_set()
    assert found["4.8"].verdict is Verdict.FAIL
    assert found["4.8"].cause is not None
    assert found["4.8"].cause.id == "error-ends-server"
    assert found["5.6"].verdict is Verdict.INCONCLUSIVE
    assert found["5.6"].summary == "the server no longer accepts connections, since case 4.8"
    assert result.outcome() == "not conformant"


DIES_OF_BIG_FRAMES = """
import socket, sys, os, threading
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def serve(peer):
    while data := peer.recv(65536):
        if data[0]:
            print("that is too much for me", flush=True)
            os._exit(7)
        peer.sendall(data)
while True:
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""


async def test_a_crash_is_seen_and_the_server_started_again() -> None:
    result = await check_command(command_of("-c", DIES_OF_BIG_FRAMES, "{port}"), "4.3", "1.2", "4.8", "1.3")
    found = by_id(result)
    assert [found[rule_id].verdict for rule_id in ("1.2", "1.3")] == [Verdict.PASS, Verdict.PASS]
    for rule_id in ("4.3", "4.8"):  # the end of the process looks like a refusal
        assert found[rule_id].verdict is Verdict.FAIL
        assert any("ended with exit code 7" in note for note in found[rule_id].notes)
        assert any("that is too much for me" in note for note in found[rule_id].notes)


async def test_one_connection_at_a_time_slows_the_run_and_fails_only_what_needs_two() -> None:
    lock = threading.Lock()

    def one_at_a_time(peer: socket.socket) -> None:
        with lock:
            echo_frames(peer)

    with listening(one_at_a_time) as address:
        result = await check_address(address, "1", "2.9", "3.3", "5.4", jobs=8)
    assert result.jobs == 1
    assert any("cases ran one at a time" in note for note in result.notes)
    assert [each.id for each in result.results if each.verdict is not Verdict.PASS] == ["3.3"]


# ---- no servers ----


@pytest.mark.parametrize(
    ("greeting", "reply", "words"),
    [
        (
            b"",
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "replies with 'HTTP/1.1 400 Bad Request'; this looks like an HTTP server",
        ),
        (
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"",
            "replies with 'SSH-2.0-OpenSSH_9.6'; this looks like an SSH server",
        ),
        (b"", b"\x15\x03\x01\x00\x02\x02\x46", "this looks like a TLS server"),
    ],
)
async def test_servers_of_other_protocols_are_named(greeting: bytes, reply: bytes, words: str) -> None:
    def answer(peer: socket.socket) -> None:
        peer.sendall(greeting)
        if peer.recv(100) and reply:
            peer.sendall(reply)
            peer.recv(100)

    with listening(answer) as address, pytest.raises(CannotCheckError) as error:
        await check_address(address)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


async def test_a_server_that_waits_for_a_request_is_asked_for_one() -> None:
    def http(peer: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            data = peer.recv(100)
            if not data:
                return
            request += data
        peer.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")

    with listening(http) as address, pytest.raises(CannotCheckError, match="looks like an HTTP server"):
        await check_address(address)


async def test_a_tls_port_is_a_tls_port() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)

    def handshake(peer: socket.socket) -> None:
        context.wrap_socket(peer, server_side=True).recv(1)  # what is no TLS it closes without a word

    with listening(handshake) as address, pytest.raises(CannotCheckError, match="looks like a TLS server"):
        await check_address(address)


async def test_who_answers_frames_and_echoes_none_is_no_echo_server() -> None:
    def dns(peer: socket.socket) -> None:
        while len(header := receive_exactly(peer, 2)) == 2:
            query = receive_exactly(peer, int.from_bytes(header, "big"))
            if len(query) >= 12:  # a format error; what is shorter than a header is dropped
                peer.sendall(b"\0\x0c" + query[:2] + b"\x80\x01" + bytes(8))

    with listening(dns) as address, pytest.raises(CannotCheckError) as error, guarded():
        await check(Target("dns", address), Settings(wire=Wire(2)))
    assert "replies to frames, but does not echo: " in str(error.value)
    assert "(--ask FILE checks it with requests of its own)" in str(error.value)
    assert str(error.value).endswith("this looks like a DNS server")


async def test_a_server_that_never_answers_is_not_checked() -> None:
    def read_on(peer: socket.socket) -> None:
        while peer.recv(1 << 16):
            pass

    with listening(read_on) as address, pytest.raises(CannotCheckError, match="sends no reply"):
        await check_address(address)


async def test_a_balancer_whose_server_does_not_run_is_no_server() -> None:
    """HAProxy tries for some seconds to connect, and then ends the connection, whatever came on it."""

    def wait_for_the_server(peer: socket.socket) -> None:
        peer.settimeout(1.5)
        with suppress(TimeoutError):
            while peer.recv(1 << 16):
                pass

    with listening(wait_for_the_server) as address:
        with pytest.raises(CannotCheckError, match="also one on which nothing was sent: if it is a balancer"):
            await check_address(address)


async def test_nobody_listens() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        address = listener.getsockname()
    with pytest.raises(CannotCheckError, match=r"127\.0\.0\.1:\d+: connection refused: does the server run"):
        await check_address(address)


async def test_the_zone_of_an_address_is_kept() -> None:
    name = socket.if_nameindex()[0][1]
    address = (f"fe80::1%{name}", 50666)
    async with open_host(Target("there", address), Settings()) as host:
        assert await host.address() == address


# ---- the same bytes ----

# After each case the server is asked whether it is still there.
ARE_YOU_THERE = Wire().frame(b"?")


async def bytes_sent(seed: int, *cases: str) -> list[bytes]:
    """Return what a good server hears, connection by connection.

    A look at the server before would send more frames, and cases fewer, where a busy machine makes it slow.
    """
    heard: list[bytearray] = []

    def record(peer: socket.socket) -> None:
        mine = bytearray()
        heard.append(mine)
        while data := peer.recv(1 << 16):
            mine += data
            peer.sendall(data)

    with listening(record) as address:
        for case_id in cases:
            outcome = await run_case(address, case_id, seed=seed)
            assert outcome.verdict is Verdict.PASS, outcome.summary
    # A thread may not have come to its connection's question yet, or not at all before the end.
    return [bytes(each) for each in heard if each not in (b"", ARE_YOU_THERE)]


async def test_the_same_seed_gives_the_same_bytes() -> None:
    # None that resets a connection: what of it a server hears is chance.
    cases = ("1.8", "2.2", "2.4", "3.1", "3.2", "7.1")
    first = await bytes_sent(7, *cases)
    assert await bytes_sent(7, *cases) == first
    other = await bytes_sent(8, *cases)
    assert len(other) == len(first)
    assert other != first


async def test_a_case_alone_sends_the_bytes_that_it_sends_among_others() -> None:
    [alone] = await bytes_sent(7, "3.1")
    *_, among = await bytes_sent(7, "2.2", "3.1")
    assert alone == among
    assert len(alone) > 100_000


# ---- servers that are started ----


WITH_A_CHILD = """
import subprocess, sys, time
print("parent of", flush=True)
words = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
child = subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True)
print(child.pid, flush=True)
child.stdin.close()  # now it may listen
child.wait()
"""
ECHO_AND_IGNORE = """
import signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.read()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer, _ = server.accept()
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc")
async def test_all_processes_are_gone_at_the_end() -> None:
    command = [sys.executable, "-c", WITH_A_CHILD, "{port}", ECHO_AND_IGNORE]
    with guarded():
        async with spawn_server(command, timeout_s=20) as (server, first):
            first.close()
            _, child = server.last_lines(2)
            assert is_running(int(child))
            assert (server.resident_bytes() or 0) > 1 << 20
            assert (server.descriptors() or 0) > 6
    assert server.has_ended
    assert not is_running(int(child))


async def test_a_command_that_dies_or_never_listens() -> None:
    with guarded():
        with pytest.raises(
            SpawnError, match=r"ended with exit code 3 before it listened on port .*: no such homework"
        ):
            async with spawn_server(
                [sys.executable, "-c", "print('no such homework'); raise SystemExit(3)", "{port}"],
                timeout_s=20,
            ):
                pass
        with pytest.raises(SpawnError, match=r"does not listen on port .* after 0.5 s; it wrote nothing"):
            async with spawn_server(
                [sys.executable, "-c", "import time; time.sleep(60)", "{port}"], timeout_s=0.5
            ):
                pass
        with pytest.raises(SpawnError, match="cannot start '/no/such/program'"):
            async with spawn_server(["/no/such/program", "{port}"], timeout_s=1):
                pass


SAYS_SOMETHING_AND_ENDS = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
server.accept()[0].recv(1)
print("once\\nthat is all", end="")
"""


async def test_the_last_words_of_a_server_are_known_as_soon_as_its_end_is() -> None:
    with guarded():
        async with spawn_server([sys.executable, "-c", SAYS_SOMETHING_AND_ENDS, "{port}"], timeout_s=20) as (
            server,
            first,
        ):
            first.close()
            # Without a turn for the task that reads:
            os.waitid(os.P_PID, server.process.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - that is what is tested
            assert server.has_ended
            assert server.last_lines() == ("once", "that is all")


async def test_a_server_is_started_with_sigint_as_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with guarded(), monkeypatch.context() as patch:
            patch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN)
            async with spawn_server(parse_command(OURS), timeout_s=30) as (server, first):
                first.close()
                server.send_signal(signal.SIGINT)
                assert await server.wait_ended(20)
                assert server.how_it_ended == "ended with exit code 0"
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("command", ["", "python student.py", "python 'student.py {port}"])
def test_a_command_needs_a_place_for_the_port(command: str) -> None:
    with pytest.raises(ValueError, match=r"empty|write \{port\} there|is no command"):
        parse_command(command)


async def test_a_short_accept_queue_takes_no_minutes() -> None:
    with socket.create_server((LOOPBACK, 0), backlog=0) as listener:
        threading.Thread(target=accept, args=(listener, echo_frames), daemon=True).start()
        [found] = (await check_address(listener.getsockname(), "5.6")).results
        listener.shutdown(socket.SHUT_RDWR)
    assert found.verdict is Verdict.PASS  # and not: not done in time
