"""The command ``trioecho serve`` as a stranger meets it: real sockets, real signals, foreign peers."""

from __future__ import annotations

import importlib.metadata
import os
import queue
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import (
    SERVE,
    SERVE_WITH_WORKERS,
    SERVE_WITHOUT_REACTOR,
    ServerProcess,
    in_one_process_and_slowly_in_two,
    in_one_process_or_two,
    resident_bytes,
    server_process,
)
from tests.support.slow import slow
from tests.support.sockets import echoes, receive_all, receive_exactly, reset
from tests.support.wire import frame
from trioecho.base.build import BUILD
from trioecho.cli.shared.values import DEFAULT_PORT
from trioecho.connection.channel import QUIET_S

REPORT_KEYS = {
    "time",
    "interval_s",
    "messages",
    "messages_total",
    "messages_per_s",
    "bytes_per_s",
    "service_ms",
    "blocked_s",
    "connections",
    "errors",
    "final",
}


@pytest.fixture(params=["TCP", "Unix"])
def listen(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """Where a server listens, for what is promised of any socket."""
    return () if request.param == "TCP" else (f"unix:{tmp_path}/echo.sock",)


def fill_until_dropped(peer: socket.socket) -> int:
    """Send frames and read nothing, until the server drops the connection; bytes sent."""
    data = frame(bytes(4096)) * 64
    sent = 0
    try:
        while True:
            sent += peer.send(data[sent % len(data) :])
    except ConnectionError:
        return sent


def fill_until_blocked(server: ServerProcess) -> socket.socket:
    """A connection whose echoes the server cannot get rid of.

    More is on its way than all buffers between the two can hold, and the peer's
    own is small; so wherever the server is, it has something unsent.
    """
    peer = server.connect(receive_buffer=4096)
    peer.sendall(frame(bytes(16 << 20)))
    receive_exactly(peer, 1)
    return peer


# ---- starting ----


def test_says_where_it_listens_and_echoes() -> None:
    with server_process() as server:
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello") + frame(b""))
        assert server.stop() == 0
    assert server.host == "127.0.0.1"


def test_other_headers_are_read_and_written() -> None:
    with server_process("--format", "u16le+header") as server, server.connect() as peer:
        assert echoes(peer, b"\x07\x00hello\x02\x00\x03\x00!")
        server.stop()


def test_ipv6() -> None:
    with server_process("--host", "::1") as server:
        assert f"listening on [::1]:{server.port}" in server.first_line
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        assert server.stop() == 0


@in_one_process_or_two
def test_a_name_with_several_addresses_gets_one_port_on_all(command: tuple[str]) -> None:
    with server_process("--host", "localhost", command=command) as server:
        assert re.search(rf"listening on (\S+:{server.port})( and \S+:{server.port})*$", server.first_line)
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))


@in_one_process_and_slowly_in_two
def test_several_hosts_are_all_listened_on_with_one_port_and_said(command: tuple[str]) -> None:
    hosts = ("127.0.0.1", "::1", "127.0.0.2", "127.0.0.1")
    with server_process(*(word for host in hosts for word in ("--host", host)), command=command) as server:
        port = server.port
        assert f"listening on 127.0.0.1:{port} and [::1]:{port} and 127.0.0.2:{port}" in server.first_line
        for host in ("127.0.0.1", "::1", "127.0.0.2"):
            with socket.create_connection((host, port), timeout=GUARD_S) as peer:
                assert echoes(peer, frame(b"hello"))
        assert server.stop() == 0


def test_that_two_colons_are_ipv6_only_is_said() -> None:
    with server_process("--host", "::") as server:
        assert "[::] is IPv6 only; --ipv6only off has IPv4, too" in server.read_log_line()
        assert server.stop() == 0
    with server_process("--host", "::", "--host", "0.0.0.0") as server:  # noqa: S104 - meant
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, server.port), timeout=GUARD_S) as peer:
                assert echoes(peer, frame(b"hello"))
        assert server.stop() == 0
    assert "IPv6 only" not in server.log


def test_a_port_that_a_connection_had_a_moment_ago_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        outgoing = socket.create_connection(elsewhere.getsockname())
        accepted, _ = elsewhere.accept()
        port = outgoing.getsockname()[1]
        outgoing.close()  # who closes first has the port in TIME_WAIT
        assert accepted.recv(1) == b""
        accepted.close()
        done = run_in_process("serve", "--port", str(port))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "no program listens there, but a connection that ended a moment ago had the port" in done.stderr


def test_the_default_port_is_in_no_range_that_is_handed_out() -> None:
    assert 1024 < DEFAULT_PORT < 30000  # Kubernetes has 30000-32767, Linux 32768-60999
    help_text = " ".join(run_in_process("serve", "--help").stdout.split())
    readme = (ROOT / "README.md").read_text()
    assert f"default: {DEFAULT_PORT}" in help_text
    assert f"listening on 127.0.0.1:{DEFAULT_PORT}" in readme


def test_a_busy_port_is_exit_3_and_one_line_that_helps() -> None:
    with server_process() as server:
        second = run_in_process("serve", "--port", str(server.port))
        assert second.returncode == 3
        assert second.stdout == ""
        assert second.stderr.count("\n") == 1
        assert f"127.0.0.1:{server.port}" in second.stderr
        assert "another program holds the port" in second.stderr
        assert "--port 0" in second.stderr
        with server.connect() as peer:
            assert echoes(peer, frame(b"not disturbed"))


@pytest.mark.parametrize(
    ("command", "option"),
    [("serve", "--port"), ("faulty strips", "--port"), ("proxy 127.0.0.1:9", "--port")],
)
def test_a_port_that_an_outgoing_connection_has_is_told_with_what_to_do(command: str, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        with socket.create_connection(elsewhere.getsockname()) as outgoing:
            port = outgoing.getsockname()[1]
            done = run_in_process(*command.split(), option, str(port))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}: no program listens there, but a connection has the port" in done.stderr
    assert f"ss -tanp 'sport = :{port}'" in done.stderr  # -l would show only who listens
    assert f"{option} 0 for any that is free" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["--port", "65536"], 2, "0 to 65535"),
        (["--port", "-1"], 2, "--port"),
        (["--port", "x"], 2, "0 to 65535"),
        (["--host", ""], 2, "127.0.0.1"),
        (["--host", "a b"], 2, "127.0.0.1"),
        (["--host", "no-such-host.invalid"], 3, "not known"),
        (["--host", "192.0.2.1"], 3, "does not have that address"),
        (["--max-frame-length", "1 elephant"], 2, "64KiB"),
        (["--max-frame-length", "-1"], 2, "--max-frame-length"),
        (["--max-frame-length", "5GiB"], 2, "4294967295"),
        (["--max-connections", "many"], 2, "whole number"),
        (["--idle-timeout", "soon"], 2, "500ms"),
        (["--frame-timeout", "nan"], 2, "500ms"),
        (["--write-timeout", "inf"], 2, "500ms"),
        (["--grace", "1e400"], 2, "500ms"),
        (["--grace", "9999999h"], 2, "year"),
        (["--metrics-interval", "-2"], 2, "--metrics-interval"),
        (["--metrics-format", "xml"], 2, "json"),
        (["--no-such-option"], 2, "--no-such-option"),
        (["surplus"], 2, "surplus"),
    ],
)
def test_bad_arguments_are_one_line_that_says_what_would_be_right(
    arguments: list[str], exit_code: int, words: str
) -> None:
    done = run_in_process("serve", "--port", "0", *arguments)
    assert done.returncode == exit_code
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("trioecho serve: ")
    assert words in done.stderr


# ---- peers that break every rule ----


@pytest.mark.parametrize(
    ("header", "diagnosis"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        slow(b"\x16\x03\x01\x02\x00\x01", "TLS"),
        slow(b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        slow(b"\x05\x00\x00\x00hello", "little-endian"),
        (b"\xff\xff\xff\xff", "max_frame_length"),
    ],
)
def test_a_header_over_the_limit_is_refused_and_earlier_echoes_arrive(header: bytes, diagnosis: str) -> None:
    with server_process("--max-frame-length", "1000") as server:
        with server.connect() as peer:
            name = "{}:{}".format(*peer.getsockname())
            peer.sendall(frame(b"first") + frame(bytes(1000)) + header)
            assert receive_all(peer) == frame(b"first") + frame(bytes(1000))
        with server.connect() as peer:
            assert echoes(peer, frame(b"others are not disturbed"))
        assert server.stop() == 0
    [line] = [line for line in server.log.splitlines() if name in line]
    assert "limit of 1000" in line
    assert str(int.from_bytes(header[:4], "big")) in line
    assert diagnosis in line
    assert server.reports[-1]["errors"] == {"frame_too_large": 1}


def test_a_refused_peer_that_goes_on_sending_still_gets_the_earlier_echoes(listen: tuple[str, ...]) -> None:
    with server_process("--max-frame-length", "1000", listen=listen) as server, server.connect() as peer:
        payload = bytes(8 << 20)
        sender = threading.Thread(target=peer.sendall, args=(frame(b"first") + frame(payload),))
        sender.start()
        assert receive_all(peer) == frame(b"first")
        sender.join()


def test_a_reset_inside_a_frame_ends_one_connection_in_one_line() -> None:
    with server_process() as server:
        with server.connect() as bystander:
            assert echoes(bystander, frame(b"before"))
            for _ in range(5):
                peer = server.connect()
                assert echoes(peer, frame(b"hello"))
                peer.sendall(frame(b"never to be complete")[:10])
                reset(peer)
            assert echoes(bystander, frame(b"after"))
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"connection_lost": 5}
    assert server.reports[-1]["messages_total"] == 7
    assert len([line for line in server.log.splitlines() if "reset" in line.lower()]) == 5
    assert "Traceback" not in server.log


@in_one_process_and_slowly_in_two
def test_a_truncated_frame_is_not_echoed_and_the_earlier_ones_are(
    command: tuple[str], listen: tuple[str, ...]
) -> None:
    with server_process(command=command, listen=listen) as server:
        whole = frame(b"first") + frame(b"")
        for cut in range(1, 9):
            with server.connect() as peer:
                peer.sendall(whole + frame(b"truncated")[:cut])
                peer.shutdown(socket.SHUT_WR)
                assert receive_all(peer) == whole
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"incomplete_frame": 8}
    assert server.reports[-1]["messages_total"] == 16


def test_a_peer_that_never_reads_is_held_back_and_then_dropped(listen: tuple[str, ...]) -> None:
    with server_process("--write-timeout", "500ms", listen=listen) as server:
        with server.connect() as bystander:
            assert echoes(bystander, frame(b"before"))
            memory_before = resident_bytes(server.process.pid)
            with server.connect() as peer:
                sent = fill_until_dropped(peer)
            memory_after = resident_bytes(server.process.pid)
            assert echoes(bystander, frame(b"after"))
        assert server.stop() == 0
    # What went out of the peer's hands lies in the kernel's buffers, which are
    # bounded, and not in the server.
    assert sent < 64 << 20
    assert memory_after - memory_before < 8 << 20
    assert server.reports[-1]["errors"] == {"write_timeout": 1}
    assert server.reports[-1]["blocked_s"] > 0 or len(server.reports) > 1


def test_memory_is_not_given_for_announced_lengths() -> None:
    with server_process("--max-frame-length", "0") as server:
        before = resident_bytes(server.process.pid)
        peers = [server.connect() for _ in range(20)]
        for peer in peers:
            peer.sendall((0xFFFF_FFF0).to_bytes(4, "big") + b"x")
        with server.connect() as bystander:
            assert echoes(bystander, frame(b"all of them are read by now") * 1000)
        assert resident_bytes(server.process.pid) - before < 16 << 20
        for peer in peers:
            peer.close()


def test_a_flood_of_refused_connections_is_not_a_flood_of_lines() -> None:
    with server_process() as server:
        for _ in range(100):
            with server.connect() as peer:
                peer.sendall(b"\xff\xff\xff\xff")
                assert receive_all(peer) == b""
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"frame_too_large": 100}
    lines = [line for line in server.log.splitlines() if "over the limit" in line]
    counted = sum(int(count) for count in re.findall(r"(\d+) more lines", server.log))
    assert len(lines) + counted == 100
    assert len(lines) < 100 or "more lines" not in server.log


def test_out_of_descriptors_it_logs_backs_off_and_serves_on() -> None:
    limit = 40

    def allow_few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    with server_process(before=allow_few_files) as server:
        peers = [server.connect() for _ in range(2 * limit)]
        for peer in peers:
            peer.sendall(frame(b"hello"))
        # None is closed before it has happened.
        assert "cannot accept: Too many open files" in server.read_log_line()
        for peer in peers:
            assert receive_exactly(peer, 9) == frame(b"hello")
            peer.close()
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 2 * limit
    assert server.reports[-1]["errors"]["accept_failed"] >= 1


def test_over_the_connection_limit_peers_wait_in_the_kernel(listen: tuple[str, ...]) -> None:
    with server_process("--max-connections", "2", listen=listen) as server:
        first, second, third = (server.connect() for _ in range(3))
        assert echoes(first, frame(b"1"))
        assert echoes(second, frame(b"2"))
        third.sendall(frame(b"3"))
        third.setblocking(False)
        with pytest.raises(BlockingIOError):
            third.recv(1)
        first.close()
        third.settimeout(GUARD_S)
        assert receive_exactly(third, 5) == frame(b"3")
        second.close()
        third.close()


# ---- stopping ----


def has_ended(peer: socket.socket) -> bool:
    """Whether the other side has ended, whatever is still to be read.

    Who is late, on a busy machine, must not send on to a server that waits for nobody any more.
    """
    looked = select.poll()
    looked.register(peer, getattr(select, "POLLRDHUP", 0))  # only Linux has it
    return bool(looked.poll(0))


@pytest.mark.parametrize(
    "command", [SERVE, slow(SERVE_WITHOUT_REACTOR), SERVE_WITH_WORKERS], ids=["reactor", "tasks", "workers"]
)
def test_sigterm_in_mid_load_gives_every_client_an_exact_prefix_and_a_clean_end(
    command: tuple[str], listen: tuple[str, ...]
) -> None:
    polite, pipelined = 50, 50
    received: list[bytes] = [b""] * (polite + pipelined)
    failures: list[BaseException] = []
    is_under_load = threading.Semaphore(0)

    def message(connection: int, number: int) -> bytes:
        return frame(b"%d:%d:" % (connection, number) + bytes(number % 300))

    def exchange_one_by_one(connection: int, peer: socket.socket) -> None:
        for number in range(1_000_000):
            if has_ended(peer):
                break
            peer.sendall(message(connection, number))
            echo = receive_exactly(peer, len(message(connection, number)))
            received[connection] += echo
            if number == 20:
                is_under_load.release()
            if len(echo) < len(message(connection, number)):
                break

    def send_ahead(connection: int, peer: socket.socket, answers: queue.SimpleQueue[int]) -> None:
        """Send batches until the end, four of them ahead of what was echoed."""
        number = sent = echoed = 0
        while echoed >= 0 and not has_ended(peer):
            batch = b"".join(message(connection, number + i) for i in range(10))
            peer.sendall(batch)
            number += 10
            sent += len(batch)
            while 0 <= echoed < sent - 4 * len(batch):
                echoed = answers.get()

    def exchange_pipelined(connection: int, peer: socket.socket) -> None:
        answers: queue.SimpleQueue[int] = queue.SimpleQueue()
        sender = threading.Thread(target=guarded, args=(send_ahead, connection, peer, answers))
        sender.start()
        echo = bytearray()
        try:
            while piece := peer.recv(1 << 16):
                if len(echo) < 10_000 <= len(echo) + len(piece):
                    is_under_load.release()
                echo += piece
                answers.put(len(echo))
        finally:
            received[connection] = bytes(echo)
            answers.put(-1)
            sender.join()

    def guarded(run: Callable[..., None], *arguments: object) -> None:
        try:
            run(*arguments)
        except BaseException as error:
            failures.append(error)
            is_under_load.release()

    with server_process("--grace", "60s", command=command, listen=listen) as server:
        peers = [server.connect() for _ in received]
        threads = [
            threading.Thread(
                target=guarded,
                args=(exchange_one_by_one if connection < polite else exchange_pipelined, connection, peer),
            )
            for connection, peer in enumerate(peers)
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert is_under_load.acquire(timeout=GUARD_S)
        exit_code = server.stop()
        for thread in threads:
            thread.join()
        for peer in peers:
            peer.close()

    assert failures == []
    assert exit_code == 0
    messages = 0
    for connection, echo in enumerate(received):
        at = number = 0
        while at < len(echo):
            expected = message(connection, number)
            assert echo[at : at + len(expected)] == expected
            at += len(expected)
            number += 1
        messages += number
    assert server.reports[-1]["messages_total"] == messages
    assert server.reports[-1]["final"] is True
    assert server.reports[-1]["errors"] == {}


@in_one_process_and_slowly_in_two
def test_an_idle_server_stops_although_its_clients_stay(command: tuple[str], listen: tuple[str, ...]) -> None:
    with server_process("--grace", "0", command=command, listen=listen) as server:
        peers = [server.connect() for _ in range(3)]
        assert all(echoes(peer, frame(b"hello")) for peer in peers)
        assert server.stop(signal.SIGINT) == 0
        for peer in peers:
            assert receive_all(peer) == b""
            peer.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell what was taken")
def test_who_reads_slowly_in_a_drain_gets_every_echo_although_it_sends_on() -> None:
    wire = b"".join(frame(bytes([number]) * 300_000) for number in range(3))
    with server_process() as server, server.connect(receive_buffer=1 << 16) as peer:
        sending = threading.Thread(target=peer.sendall, args=(wire,))
        sending.start()
        received = receive_exactly(peer, 1)
        sending.join()
        server.send_signal()
        while "draining" not in server.read_log_line():
            pass
        # The peer pauses for longer than a drain takes for silence, and is none the worse.
        time.sleep(QUIET_S + 0.2)
        received += receive_exactly(peer, 300_003)
        peer.sendall(frame(b"the next, which comes too late"))
        assert received + receive_all(peer) == wire
        assert server.wait() == 0
    assert server.reports[-1]["messages_total"] == 3
    assert server.reports[-1]["errors"] == {}


@in_one_process_or_two
def test_what_cannot_be_drained_is_aborted_after_the_grace_and_exit_4_says_so(command: tuple[str]) -> None:
    with server_process("--max-frame-length", "16MiB", "--grace", "200ms", command=command) as server:
        with fill_until_blocked(server) as peer:
            assert server.stop() == 4
            with pytest.raises(ConnectionResetError):
                receive_all(peer)
    assert "aborted" in server.log
    assert server.reports[-1]["errors"] == {"aborted": 1}
    assert server.reports[-1]["messages_total"] == 0


def test_the_log_counts_the_connections_that_it_drains() -> None:
    with server_process() as server:
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
            assert server.stop() == 0
    assert "SIGTERM: draining 1 connection, for at most 10 s;" in server.log


@in_one_process_or_two
@pytest.mark.parametrize("second", [signal.SIGINT, slow(signal.SIGTERM)])
def test_a_second_signal_stops_at_once_with_130_and_the_last_report(
    second: signal.Signals, command: tuple[str]
) -> None:
    with server_process("--max-frame-length", "16MiB", "--grace", "0", command=command) as server:
        with server.connect() as finished:
            assert echoes(finished, frame(b"hello"))
        with fill_until_blocked(server):
            server.send_signal(signal.SIGTERM)
            assert "draining" in server.read_log_line()
            assert server.stop(second) == 130
    assert server.reports[-1]["final"] is True
    assert server.reports[-1]["messages_total"] == 1


@in_one_process_and_slowly_in_two
def test_the_port_is_free_at_once_after_a_stop(command: tuple[str]) -> None:
    with server_process(command=command) as server, server.connect() as peer:
        assert echoes(peer, frame(b"first"))
        assert server.stop() == 0
        for _ in range(3):
            with server_process(port=server.port, command=command) as again, again.connect() as another:
                assert again.port == server.port
                assert echoes(another, frame(b"again"))
                assert again.stop() == 0


# ---- reporting ----


@in_one_process_or_two
def test_reports_are_json_lines_with_the_promised_fields_and_exact_counts(command: tuple[str]) -> None:
    with server_process("--metrics-interval", "50ms", command=command) as server:
        with server.connect() as peer:
            for _ in range(10):
                assert echoes(peer, frame(b"hello") * 7)
            # A report is there; reading it would take a part of the next one along.
            assert server.process.stdout is not None
            assert select.select([server.process.stdout], [], [], GUARD_S)[0]
        assert server.stop() == 0
    reports = server.reports
    assert all(set(report) == REPORT_KEYS for report in reports)
    assert all(set(report["service_ms"]) == {"mean", "p50", "p99", "max"} for report in reports)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", report["time"]) for report in reports)
    assert [report["final"] for report in reports] == [False] * (len(reports) - 1) + [True]
    assert reports[-1]["messages_total"] == 70


def test_text_reports_are_one_line_each() -> None:
    with server_process("--metrics-format", "text", "--metrics-interval", "0") as server:
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        assert server.stop() == 0
    assert re.search(r"1 in all.*\(final\)\n$", server.output)
    assert server.output.count("\n") == 1


@in_one_process_and_slowly_in_two
def test_stdout_that_nobody_reads_does_not_stop_the_service(command: tuple[str]) -> None:
    unread, full = os.pipe()
    with os.fdopen(full, "wb") as filling, os.fdopen(unread, "rb"):
        os.set_blocking(full, False)
        try:
            while True:
                os.write(full, bytes(4096))
        except BlockingIOError:
            os.set_blocking(full, True)
        with server_process("--metrics-interval", "1ms", stdout=filling.fileno(), command=command) as server:
            with server.connect() as peer:
                for _ in range(200):
                    assert echoes(peer, frame(b"hello"))
            assert server.stop() == 74
    assert "the final report could not be written: nobody has read for 2 s" in server.log


def test_stdout_that_is_closed_does_not_stop_the_service() -> None:
    unread, broken = os.pipe()
    os.close(unread)
    with os.fdopen(broken, "wb") as stdout:
        with server_process("--metrics-interval", "1ms", stdout=stdout.fileno()) as server:
            with server.connect() as peer:
                for _ in range(200):
                    assert echoes(peer, frame(b"hello"))
            assert server.stop() == 0
    assert "Traceback" not in server.log


@in_one_process_and_slowly_in_two
def test_without_any_stdout_reports_go_nowhere_and_not_into_a_connection(command: tuple[str]) -> None:
    with server_process("--metrics-interval", "1ms", before=lambda: os.close(1), command=command) as server:
        with server.connect() as peer:
            for _ in range(200):
                assert echoes(peer, frame(b"hello"))
        assert server.stop() == 0


def test_no_output_has_colour() -> None:
    assert "\x1b" not in run_in_process("serve", "--help").stdout
    with server_process("--metrics-format", "text") as server:
        assert server.stop() == 0
    assert "\x1b" not in server.first_line + server.log + server.output


@pytest.mark.parametrize(
    "command",
    ["serve", "client", "demo", "load", "report merge", "report diff", "check", "proxy", "faulty"],
)
def test_every_command_teaches_itself_with_an_example(command: str) -> None:
    help_text = run_in_process(*command.split(), "--help")
    assert help_text.returncode == 0
    assert f"  trioecho {command}" in help_text.stdout.split("example")[-1]
    # argparse does not break the usage inside of a choice.
    _, _, after_usage = help_text.stdout.partition("\n\n")
    assert max(map(len, after_usage.splitlines())) <= 80


def test_an_internal_error_is_one_line_and_no_traceback() -> None:
    broken = (
        "import sys, trioecho.cli.service_run as service, trioecho.cli as cli\n"
        "def fail(*args, **kwargs): raise RuntimeError('a mistake of ours')\n"
        "service.serve_frames = fail\n"
        "sys.exit(cli.main(['serve', '--port', '0']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, timeout=GUARD_S, check=False
    )
    assert done.returncode == 70
    assert "a mistake of ours" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_in_scripts_serves_and_drains() -> None:
    process = subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "serve.py", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = ServerProcess(process)
    with server.connect() as peer:
        peer.sendall(frame(b"stressed") + frame(b""))
        assert receive_exactly(peer, 16) == frame(b"desserts") + frame(b"")
    assert server.stop() == 0
    assert server.output.splitlines()[-1] == "2 messages, 0 connections"


def test_the_installed_command_is_the_same_program() -> None:
    command = Path(sys.executable).with_name("trioecho")
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert version == f"trioecho {importlib.metadata.version('trioecho')} ({BUILD})\n"
    assert version == run_in_process("--version").stdout
