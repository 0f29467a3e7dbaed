"""Servers that end while they are checked: whose fault it is, and what is still found out."""

from __future__ import annotations

import itertools
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

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
from tests.support.guard import GUARD_S, guarded
from tests.support.slow import slow
from tests.support.sockets import LOOPBACK, receive_exactly, reset
from trioecho.check.cases import CASES
from trioecho.check.client.pace import Pace
from trioecho.check.client.settings import Settings
from trioecho.check.preflight.result import Preflight
from trioecho.check.runner.attempt import Attempts
from trioecho.check.runner.host import Target, open_host
from trioecho.check.verdict import SuiteResult, Verdict


def not_passed(result: SuiteResult) -> dict[str, Verdict]:
    return {each.id: each.verdict for each in result.results if each.verdict is not Verdict.PASS}


# A server with a thread for each connection; what it dies of comes in place of DIES.
PROGRAM = """
import os, socket, sys, threading
def receive(peer, count):
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece:
            if data or count != 4: truncated()
            return None
        data += piece
    return data
def truncated(): pass
def announced(length): pass
def answered(payload): pass
DIES
def serve(peer):
    with peer:
        while (header := receive(peer, 4)) is not None:
            length = int.from_bytes(header, "big")
            announced(length)
            if length > 1 << 20: return
            payload = receive(peer, length) if length else b""
            if payload is None: return
            peer.sendall(header + payload)
            answered(payload)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100)
while True: threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""


def dying(how: str) -> str:
    return command_of("-c", PROGRAM.replace("DIES", how), "{port}")


DIES_IF_TRUNCATED = dying("def truncated(): os._exit(2)")
DIES_OF_LENGTHS = dying(
    "def announced(length):\n    if length > 1 << 30: print('too long', flush=True); os._exit(2)"
)


# ---- a server that the suite can start again ----


async def test_an_end_that_looks_like_a_refusal_is_none() -> None:
    result = await check_command(DIES_OF_LENGTHS, "1.2", "4.2", "4.3", "4.4")
    assert not_passed(result) == {"4.3": Verdict.FAIL, "4.4": Verdict.FAIL}
    found = by_id(result)["4.4"]
    assert found.actual.startswith("the server ended with exit code 2; what was seen before: ")
    assert "the server ended with exit code 2 in this case" in found.notes
    assert found.attempts == 2  # alone on a fresh server, so it is this case
    assert [each.id for each in result.causes] == ["crashes"]
    alone = await check_command(DIES_OF_LENGTHS, "4.4")
    assert not_passed(alone) == {"4.4": Verdict.FAIL}


async def test_what_the_end_of_a_process_hides_is_found() -> None:
    result = await check_command(DIES_IF_TRUNCATED, "1.2", "5.2", "5.3", "7.1")
    assert not_passed(result) == {"5.3": Verdict.FAIL}
    assert "(the server ended with exit code 2)" in by_id(result)["5.3"].actual


async def test_the_first_look_ends_no_server() -> None:
    result = await check_command(DIES_IF_TRUNCATED, "1.2")
    assert (result.outcome(), result.notes) == ("conformant", ())


async def test_an_end_that_comes_late_is_charged_to_the_case_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "trioecho.check.runner.attempt._AFTERMATH_S", 5
    )  # a timer may be late on a busy machine
    later = "def answered(payload):\n    if not payload: threading.Timer(0.1, os._exit, [5]).start()"
    # Case 2.9 pauses for a second, and meets the end.
    result = await check_command(dying(later), "1.1", "2.9")
    assert not_passed(result) == {"1.1": Verdict.FAIL}
    assert "the server ended with exit code 5 in this case" in by_id(result)["1.1"].notes


async def test_an_end_that_no_case_brings_about_alone_is_told(tmp_path: Path) -> None:
    once = tmp_path / "once"
    how = f"""
def answered(payload):
    if len(payload) == 255:
        try: os.close(os.open({str(once)!r}, os.O_CREAT | os.O_EXCL))
        except FileExistsError: return
        print("out of luck", flush=True)
        os._exit(4)
"""
    # The server that survives the second try dies later of something else.
    how += "def announced(length):\n    if length > 1 << 30: os._exit(6)"
    result = await check_command(dying(how), "1.2", "1.3", "4.4", jobs=1)
    assert not_passed(result) == {"1.3": Verdict.INCONCLUSIVE, "4.4": Verdict.FAIL}
    [note] = result.notes
    assert note.startswith("the server ended with exit code 4 beside ")
    assert note.endswith("the server wrote: out of luck")


async def test_the_shortest_stream_is_sought_on_servers_that_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.check.cases.garbage._MOST_TRIES", 12)
    command = dying("def announced(length):\n    if length > 3000: os._exit(2)")
    result = await check_command(command, "1.1", "7.1")
    assert not_passed(result) == {"7.1": Verdict.FAIL}
    actual = by_id(result)["7.1"].actual
    shortest = re.search(
        r"the shortest stream that fails: (a frame|frames) of [\d, ]*?(\d{4,5}) bytes", actual
    )
    assert shortest is not None, actual
    assert int(shortest[2]) > 3000


# ---- a server that listens already ----


@contextmanager
def ending_at(what: bytes) -> Iterator[tuple[str, int]]:
    """A server that stops for good when a connection's header begins so."""

    def serve(peer: socket.socket) -> None:
        while len(header := receive_exactly(peer, 4)) == 4:
            if header.startswith(what):
                listener.shutdown(socket.SHUT_RDWR)
                return
            length = int.from_bytes(header, "big")
            payload = receive_exactly(peer, length) if length <= 1 << 20 else b""
            if len(payload) < length:
                return
            peer.sendall(header + payload)

    with socket.create_server((LOOPBACK, 0), backlog=100) as listener:
        threading.Thread(target=accept, args=(listener, serve), daemon=True).start()
        yield listener.getsockname()


async def test_a_server_that_is_gone_after_a_case_has_not_refused_in_it() -> None:
    with ending_at(b"\x80") as address:
        result = await check_address(address, "1.2", "4.3", "4.4", "5.2", "5.4", jobs=8)
    found = by_id(result)
    assert not_passed(result) == {
        "4.4": Verdict.FAIL,
        "5.2": Verdict.INCONCLUSIVE,
        "5.4": Verdict.INCONCLUSIVE,
    }
    assert "after this case the server accepted no connection any more" in found["4.4"].notes
    assert found["5.2"].summary == "the server no longer accepts connections, since case 4.4"


async def test_who_dies_of_the_end_in_a_header_dies_when_nobody_else_is_there() -> None:
    def serve(peer: socket.socket) -> None:
        while len(header := receive_exactly(peer, 4)) == 4:
            peer.sendall(header + receive_exactly(peer, int.from_bytes(header, "big")))
        if header:
            listener.shutdown(socket.SHUT_RDWR)

    with socket.create_server((LOOPBACK, 0), backlog=100) as listener:
        threading.Thread(target=accept, args=(listener, serve), daemon=True).start()
        result = await check_address(listener.getsockname(), "1.2", "1.12", "2.1", "2.3", "5.2", jobs=8)
    assert not_passed(result) == {"1.12": Verdict.FAIL, "5.2": Verdict.INCONCLUSIVE}


async def test_a_connection_refused_before_a_byte_was_sent_is_not_the_case_s_fault() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        address = listener.getsockname()
    settings = Settings()
    with guarded():
        async with open_host(Target("here", address), settings) as host:
            outcome = await Attempts(host, settings, Preflight()).run(CASES["7.1"], 1)
    assert (outcome.verdict, outcome.deviation) == (Verdict.INCONCLUSIVE, None)
    assert outcome.was_refused
    assert outcome.did_server_end
    assert "before a byte was sent: Connection refused" in outcome.summary


async def test_who_dies_of_an_empty_frame_does_so_in_no_case_without_one() -> None:
    has_died = threading.Event()

    def serve(peer: socket.socket) -> None:
        while not has_died.is_set() and (header := receive_exactly(peer, 4)):
            payload = receive_exactly(peer, int.from_bytes(header, "big"))
            if not payload:
                has_died.set()
            peer.sendall(header + payload)

    with listening(serve) as address:  # each case is run as if the server accepted slowly
        assert (await run_case(address, "1.2", pace=Pace(connect_s=0.1))).verdict is Verdict.PASS
        assert not has_died.is_set()


# ---- races ----


async def test_of_a_race_the_worst_try_counts() -> None:
    refusals = itertools.count(1)

    def resets_now_and_then(peer: socket.socket) -> None:
        received = bytearray()
        while data := peer.recv(1 << 20):
            received += data
            while len(received) >= 4 and (length := int.from_bytes(received[:4], "big")) <= 1 << 20:
                if len(received) < 4 + length:
                    break
                peer.sendall(received[: 4 + length])
                del received[: 4 + length]
            else:
                if len(received) >= 4:
                    break
        else:
            return
        if next(refusals) % 4 == 0:
            reset(peer)
            return
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(1 << 16):
            pass

    with listening(resets_now_and_then) as address:
        outcome = await run_case(address, "4.7")
    assert outcome.verdict is Verdict.WARN
    assert outcome.summary.endswith("(in try 4 of 10)")
    with listening(echo_frames) as address:
        outcome = await run_case(address, "4.6")
    assert outcome.summary.endswith("(in each of 10 tries)")


# ---- a server for one connection ----

SERVES_ONE = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
peer, _ = server.accept()
server.close()
def receive(count):
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece: sys.exit(0)
        data += piece
    return data
while True:
    header = receive(4)
    length = int.from_bytes(header, "big")
    if length > 1 << 20: sys.exit(REFUSES)
    peer.sendall(header + (receive(length) if length else b""))
"""


async def test_who_serves_one_connection_is_asked_by_one_at_a_time() -> None:
    command = command_of("-c", SERVES_ONE.replace("REFUSES", "0"), "{port}")
    result = await check_command(command, "1.2", "2.5", "3.1", "3.2", "3.3", "4.4", "5.6", "6.1")
    assert not_passed(result) == dict.fromkeys(("3.2", "3.3", "5.6"), Verdict.FAIL), [
        (each.id, each.summary, each.notes) for each in result.results
    ]
    assert [each.id for each in result.causes] == ["only-first-connection"]
    assert any("so each had a fresh server" in note for note in result.notes)


async def test_its_end_is_known_though_its_process_takes_a_second_to_exit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # On a busy machine that may be longer.
    monkeypatch.setattr("trioecho.check.preflight.measure.MOST_EXIT_S", GUARD_S)
    late = "import atexit, time; atexit.register(time.sleep, 1)" + SERVES_ONE.replace("REFUSES", "0")
    result = await check_command(command_of("-c", late, "{port}"), "1.2", "3.2", "4.4")
    assert not_passed(result) == {"3.2": Verdict.FAIL}
    assert [each.id for each in result.causes] == ["only-first-connection"]


async def test_its_crash_is_told_from_its_end() -> None:
    command = command_of("-c", SERVES_ONE.replace("REFUSES", "9"), "{port}")
    result = await check_command(command, "1.2", "4.4", "5.2")
    assert not_passed(result) == {"4.4": Verdict.FAIL}
    assert "exit code 9" in by_id(result)["4.4"].actual


# ---- the suite itself is killed ----


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, slow(signal.SIGHUP), slow(signal.SIGINT)])
def test_no_server_outlives_the_suite(number: signal.Signals, tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    # The server, and a child of it in a session of its own, hold the FIFO open for as long as they live.
    program = f"""
import os, socket, subprocess, sys
alive = os.open({str(fifo)!r}, os.O_WRONLY)
child = [sys.executable, "-c", "import time; time.sleep(600)"]
subprocess.Popen(child, pass_fds=[alive], start_new_session=True)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
peers = [server.accept(), server.accept()]
os.write(alive, b"asked")
server.accept()
"""
    command = command_of("-c", program, "{port}")
    suite = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "check", "--spawn", command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with fifo.open("rb", buffering=0) as alive:
        assert alive.read(5) == b"asked"
        suite.send_signal(number)
        assert select.select([alive], [], [], GUARD_S)[0]
        assert alive.read(1) == b""  # the end comes when the last of them has ended
    assert suite.wait(GUARD_S) == (-number if number is signal.SIGKILL else 128 + number)
