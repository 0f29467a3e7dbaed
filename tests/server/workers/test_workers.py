"""A service of several processes: what it does not share with one process (see test_serve_command)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import (
    SERVE_WITH_WORKERS,
    ServerProcess,
    children_of,
    server_process,
    suspend,
)
from tests.support.sockets import echoes, receive_all, receive_exactly
from tests.support.wire import frame
from trioecho.base.functions_by_name import FunctionReference
from trioecho.base.histogram import Histogram
from trioecho.base.tls_files import TlsFiles
from trioecho.framing import FrameFormat
from trioecho.limits import Limits
from trioecho.server.counts import Counts
from trioecho.server.proxy_protocol import ProxyProtocol
from trioecho.server.workers.messages import (
    CannotStart,
    Command,
    Ended,
    Increment,
    LogLine,
    Message,
    Ready,
    WorkerConfig,
    decode_message,
    encode_message,
)
from trioecho.server.workers.supervisor import divide

TOO_LARGE = b"\xff\xff\xff\xff"


def workers_of(server: ServerProcess) -> list[int]:
    """The processes that it has started."""
    return children_of(server.process.pid)


@contextlib.contextmanager
def ends_of(pids: Iterable[int]) -> Iterator[None]:
    """At its end, wait until these processes have ended."""
    with contextlib.ExitStack() as opened:
        descriptors = [os.pidfd_open(pid) for pid in pids]
        for descriptor in descriptors:
            opened.callback(os.close, descriptor)
        yield
        for descriptor in descriptors:
            assert select.select([descriptor], [], [], GUARD_S)[0], "it still runs"


def wait_for_report(server: ServerProcess, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Read reports until there is one that is wanted."""
    assert server.process.stdout is not None
    for line in server.process.stdout:
        report: dict[str, Any] = json.loads(line)
        if is_wanted(report):
            return report
    raise AssertionError("there was no such report")


def is_refused(server: ServerProcess) -> bool:
    """Whether a new connection is; if not, wait for its end."""
    try:
        with socket.create_connection((server.host, server.port), timeout=GUARD_S / 4) as peer:
            peer.recv(1)
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it came between the last look into a queue and its close
        pass
    return False


# ---- serving ----


def test_connections_are_divided_among_workers_and_counted_together() -> None:
    connections, messages = 60, 50

    def converse(peer: socket.socket) -> None:
        with peer:
            for number in range(messages):
                assert echoes(peer, frame(b"%d" % number))
            peer.sendall(TOO_LARGE)
            assert receive_all(peer) == b""

    with server_process(command=SERVE_WITH_WORKERS) as server:
        failures: list[BaseException] = []

        def guarded(peer: socket.socket) -> None:
            try:
                converse(peer)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(server.connect(),)) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.stop() == 0
    assert failures == []
    assert sum(report["messages"] for report in server.reports) == connections * messages
    assert server.reports[-1]["messages_total"] == connections * messages
    assert server.reports[-1]["errors"] == {"frame_too_large": connections}
    assert set(re.findall(r"worker (\d): 127.0.0.1:\d+: ", server.log)) == {"1", "2"}
    assert "listening" not in server.log  # the line that was read before is the only one


def test_a_report_has_the_service_times_of_all_workers() -> None:
    with server_process("--metrics-interval", "0", command=SERVE_WITH_WORKERS) as server:
        peers = [server.connect() for _ in range(20)]
        for peer in peers:
            assert echoes(peer, frame(b"hello"))
            peer.close()
        assert server.stop() == 0
    [report] = server.reports
    assert report["messages"] == 20
    assert 0 < report["service_ms"]["p50"] <= report["service_ms"]["p99"] <= report["service_ms"]["max"]


def test_the_connection_limit_is_that_of_the_service() -> None:
    limits = ("--max-connections", "4", "--metrics-interval", "10ms")
    with server_process(*limits, command=SERVE_WITH_WORKERS) as server:
        for pid in workers_of(server):
            suspend(pid)
        peers = [server.connect() for _ in range(40)]
        for peer in peers:
            peer.sendall(frame(b"hello"))
        for pid in workers_of(server):
            os.kill(pid, signal.SIGCONT)
        assert wait_for_report(server, lambda report: report["connections"] >= 4)["connections"] == 4
        # Each end makes room for one; so nobody is left to wait for ever.
        while peers:
            for peer in select.select(peers, [], [], GUARD_S)[0]:
                assert receive_exactly(peer, 9) == frame(b"hello")
                peer.close()
                peers.remove(peer)
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 40
    assert max(report["connections"] for report in server.reports) <= 4


def test_as_many_workers_as_processors() -> None:
    with server_process("--workers", "0") as server:
        processors = len(os.sched_getaffinity(0))
        assert len(workers_of(server)) == (processors if processors > 1 else 0)
        assert server.stop() == 0


# ---- who dies is replaced ----


def test_who_connects_while_all_workers_are_dead_waits_for_those_that_replace_them() -> None:
    with server_process(command=SERVE_WITH_WORKERS) as server:
        dying = workers_of(server)
        for pid in dying:
            suspend(pid)
        queued = [server.connect() for _ in range(20)]
        for peer in queued:
            peer.sendall(frame(b"queued for a worker that dies"))
        with ends_of(dying):
            for pid in dying:
                os.kill(pid, signal.SIGKILL)
        late = [server.connect() for _ in range(20)]
        for peer in late:
            assert echoes(peer, frame(b"late"))
        for peer in queued:
            assert receive_exactly(peer, 33) == frame(b"queued for a worker that dies")
        assert not set(workers_of(server)) & set(dying)
        for peer in queued + late:
            peer.close()
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 40
    assert server.reports[-1]["errors"] == {"worker_died": 2}
    assert (
        len(re.findall(r"worker [12] \(process \d+\) was ended by SIGKILL.*; starting another", server.log))
        == 2
    )


def test_what_a_worker_reported_before_it_died_counts_and_the_log_names_what_is_lost() -> None:
    with server_process("--metrics-interval", "50ms", command=SERVE_WITH_WORKERS) as server:
        peers = [server.connect() for _ in range(20)]
        for peer in peers:
            assert echoes(peer, frame(b"hello"))
        wait_for_report(server, lambda report: report["messages_total"] == report["connections"] == 20)
        for pid in workers_of(server):
            os.kill(pid, signal.SIGKILL)
        for peer in peers:
            with contextlib.suppress(ConnectionResetError):
                assert receive_all(peer) == b""
            peer.close()
        with server.connect() as peer:
            assert echoes(peer, frame(b"again"))
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 21
    assert server.reports[-1]["connections"] == 0
    lost = re.findall(
        r"was ended by SIGKILL; starting another\. "
        r"Its connections \(the last count was (\d+)\) are lost, and so is the count",
        server.log,
    )
    assert sum(map(int, lost)) == 20


def serve_with_program(program: str) -> tuple[str, ...]:
    """The command with workers that run a program of the test's own."""
    return (
        "-c",
        "import sys, trioecho.cli, trioecho.cli.service_run\n"
        "from trioecho.base.processes import Program\n"
        f"program = {program!r}\n"
        "trioecho.cli.service_run.worker_program = lambda: Program([sys.executable, '-c', program])\n"
        "sys.exit(trioecho.cli.main(['serve', '--workers', '2', *sys.argv[1:]]))",
    )


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise SystemExit(7)", "ended with exit code 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL"),
    ],
)
def test_workers_that_cannot_start_are_given_up_with_exit_1(program: str, words: str) -> None:
    done = subprocess.run(
        [sys.executable, *serve_with_program(program), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )
    assert done.returncode == 1
    *log, last = done.stderr.splitlines()
    assert re.search(rf"^trioecho serve: 5 workers, one after the other, .*{words}$", last)
    assert len(log) == 5
    assert all(f"{words} before it could serve" in line for line in log)
    assert "listening" not in done.stderr


def test_a_program_that_cannot_be_run_is_given_up_too() -> None:
    command = (
        "-c",
        "import sys, trioecho.cli, trioecho.cli.service_run\n"
        "from trioecho.base.processes import Program\n"
        "trioecho.cli.service_run.worker_program = lambda: Program(['/no/such/program'])\n"
        "sys.exit(trioecho.cli.main(['serve', '--workers', '2', '--port', '0']))",
    )
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=GUARD_S, check=False
    )
    assert done.returncode == 1
    assert "No such file" in done.stderr.splitlines()[-1]
    assert "worker 1 cannot be started: No such file or directory; starting another\n" in done.stderr
    assert "Traceback" not in done.stderr


# ---- stopping ----


@pytest.mark.parametrize("who", ["the terminal", "a service manager"])
def test_a_signal_to_all_processes_is_one_signal(who: str) -> None:
    with server_process(
        "--max-frame-length", "16MiB", "--grace", "0", command=SERVE_WITH_WORKERS, before=os.setsid
    ) as server:
        peers = [server.connect(receive_buffer=4096) for _ in range(4)]
        for peer in peers:
            # More than all buffers hold: the echo cannot be done before it is read below.
            peer.sendall(frame(bytes(16 << 20)))
            receive_exactly(peer, 1)
        if who == "a service manager":
            for pid in workers_of(server):
                os.kill(pid, signal.SIGTERM)
        os.killpg(server.process.pid, signal.SIGINT)
        assert "draining" in server.read_log_line()
        for peer in peers:
            assert len(receive_all(peer)) == 3 + (16 << 20)
            peer.close()
        assert server.wait() == 0
    assert server.reports[-1]["messages_total"] == 4
    assert server.reports[-1]["errors"] == {}


def test_connections_that_are_queued_when_a_drain_begins_are_served() -> None:
    with server_process(command=SERVE_WITH_WORKERS) as server:
        workers = workers_of(server)
        for pid in workers:
            suspend(pid)
        peers = [server.connect() for _ in range(20)]
        for peer in peers:
            peer.sendall(frame(b"queued"))
        server.send_signal(signal.SIGTERM)
        assert "draining" in server.read_log_line()
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        for peer in peers:
            assert receive_all(peer) == frame(b"queued")
            peer.close()
        assert server.wait() == 0
    assert server.reports[-1]["messages_total"] == 20


def test_who_connects_late_in_a_drain_is_refused() -> None:
    with server_process("--max-frame-length", "16MiB", command=SERVE_WITH_WORKERS) as server:
        with server.connect(receive_buffer=4096) as unread:
            unread.sendall(frame(bytes(16 << 20)))
            receive_exactly(unread, 1)
            server.send_signal(signal.SIGTERM)
            while not is_refused(server):  # at first, connections in the queues are still served
                pass
            receive_all(unread)
        assert server.wait() == 0


def test_a_worker_that_does_not_listen_is_killed_after_the_grace() -> None:
    with server_process("--grace", "100ms", command=SERVE_WITH_WORKERS) as server:
        stuck = workers_of(server)[0]
        suspend(stuck)
        with ends_of([stuck]):
            assert server.stop() == 4
    assert f"(process {stuck}) does not stop; it is killed" in server.log
    assert server.reports[-1]["final"] is True


def test_workers_do_not_outlive_a_service_that_was_killed() -> None:
    with server_process(command=SERVE_WITH_WORKERS) as server:
        with server.connect() as peer, ends_of(workers_of(server)):
            assert echoes(peer, frame(b"hello"))
            server.send_signal(signal.SIGKILL)
            assert receive_all(peer) == b""
        assert is_refused(server)
        server.wait()
    assert "Traceback" not in server.log


# ---- wrong usage ----


def test_a_port_that_workers_share_is_not_shared_with_another_service() -> None:
    with server_process(command=SERVE_WITH_WORKERS) as server:
        for workers in ("1", "2"):
            second = run_in_process("serve", "--workers", workers, "--port", str(server.port))
            assert second.returncode == 3
            assert second.stderr.count("\n") == 1
            assert "another program holds the port" in second.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "-1"], "--workers"),
        (["--workers", "two"], "whole number"),
        (["--workers", "1025"], "1024 at most"),
        (["--workers", "3", "--max-connections", "2"], "less than one for each of 3 workers"),
    ],
)
def test_bad_numbers_of_workers_are_one_line_and_exit_2(arguments: list[str], words: str) -> None:
    done = run_in_process("serve", "--port", "0", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_a_system_that_cannot_share_ports_says_so() -> None:
    program = (
        "import socket, trio; del socket.SO_REUSEPORT\n"
        "import sys, trioecho.cli; sys.exit(trioecho.cli.main(['serve', '--workers', '2']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GUARD_S, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "SO_REUSEPORT" in done.stderr


def test_the_program_of_a_worker_is_not_a_command() -> None:
    assert "worker" not in run_in_process("--help").stdout


# ---- parts ----


@pytest.mark.parametrize(
    ("max_connections", "workers", "shares"),
    [(10, 2, [5, 5]), (10, 3, [4, 3, 3]), (3, 3, [1, 1, 1]), (0, 3, [0, 0, 0]), (7, 1, [7])],
)
def test_the_connection_limit_is_divided(max_connections: int, workers: int, shares: list[int]) -> None:
    assert divide(max_connections, workers) == shares


def test_fewer_connections_than_workers_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="2 connections cannot be divided among 3 workers"):
        divide(2, 3)


@pytest.mark.parametrize(
    "message",
    [
        WorkerConfig((5, 7), FrameFormat(2, "little", True), Limits(max_connections=3, grace_s=0.5), 0.2),
        WorkerConfig((5,), FrameFormat(), Limits(), 0.2, FunctionReference("shop:reply", "/"), True, True),
        WorkerConfig((5,), FrameFormat(), Limits(), 0.2, tls=TlsFiles("cert.pem", client_ca="ca.pem")),
        WorkerConfig(
            (5,), FrameFormat(), Limits(), 0.2, proxy_protocol=ProxyProtocol("v2", ("::1", "10.0.0.0/8"))
        ),
        CannotStart("no database"),
        Ended(2, "the database is gone", has_changed=True),
        Command.DRAIN,
        Command.STOP,
        Command.RELOAD,
        Ready(),
        LogLine(30, 1234.5, "a line with \n, \u2603 and \x00"),
        Ended(3),
    ],
)
def test_messages_arrive_as_they_were(message: Message) -> None:
    assert arrived(message) == message


@examples(200)
@given(
    durations_ns=st.lists(st.integers(0, 1 << 60), max_size=20),
    errors=st.dictionaries(st.text(), st.integers(1, 9)),
    blocked_s=st.floats(0, 1e9),
)
def test_counts_arrive_as_they_were(
    durations_ns: list[int], errors: Mapping[str, int], blocked_s: float
) -> None:
    counts = Counts()
    counts.messages, counts.wire_bytes, counts.blocked_s = len(durations_ns), 1 << 70, blocked_s
    counts.errors = Counter(errors)
    for duration_ns in durations_ns:
        counts.service_ns.record(duration_ns)
    increment = arrived(Increment(counts, 17))
    assert isinstance(increment, Increment)
    assert increment.connections == 17
    assert (increment.counts.messages, increment.counts.wire_bytes) == (counts.messages, counts.wire_bytes)
    assert (increment.counts.blocked_s, increment.counts.errors) == (blocked_s, errors)
    assert held(increment.counts.service_ns) == held(counts.service_ns)


def arrived(message: Message) -> Message:
    """Return what the other process makes of a message."""
    return decode_message(json.loads(json.dumps(encode_message(message))))


def held(histogram: Histogram) -> tuple[object, ...]:
    return histogram.buckets, histogram.count, histogram.total, histogram.max
