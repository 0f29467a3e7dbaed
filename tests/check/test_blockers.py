"""Servers that echo nothing, or hardly anything, or not all the time: few words, and no time lost."""

from __future__ import annotations

import itertools
import shlex
import socket
import sys
import time
from collections.abc import Callable

import pytest

from tests.support.check_servers import (
    by_id,
    check_address,
    check_command,
    command_of,
    echo_frames,
    listening,
)
from tests.support.slow import slow
from tests.support.sockets import receive_exactly, reset
from trioecho.check.book.book import RULES
from trioecho.check.client.finding import Kind
from trioecho.check.client.pace import Pace
from trioecho.check.client.wire import Wire
from trioecho.check.output.text import Palette, suite_lines
from trioecho.check.preflight.blocker import Answer, blocker_in
from trioecho.check.verdict import SuiteResult, Verdict

WITHOUT_SPAWN = {rule.id for rule in RULES.values() if not rule.needs_spawn}


def ids(result: SuiteResult, verdict: Verdict) -> set[str]:
    return {each.id for each in result.results if each.verdict is verdict}


# ---- nothing is echoed ----


def close(peer: socket.socket) -> None:
    pass


def close_at_first_frame(peer: socket.socket) -> None:
    peer.recv(100)


def talk(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"x")
        time.sleep(0.05)


def greet(peer: socket.socket) -> None:
    peer.sendall(b"welcome\n")
    echo_frames(peer)


def answer_with_something_else(peer: socket.socket) -> None:
    while peer.recv(1 << 16):
        peer.sendall(b"\x8f\x90\x91\x92\x93")


@pytest.mark.parametrize(
    ("handler", "cause", "reason"),
    [
        (close, "closes-at-once", "every connection is closed at once"),
        slow(reset, "closes-at-once", "every connection is closed at once"),
        (close_at_first_frame, "closes-at-first-frame", "every connection ends at its first frame"),
        (talk, "speaks-unasked", "bytes come that no client asked for"),
        slow(greet, "speaks-unasked", "bytes come that no client asked for"),
        (answer_with_something_else, "answers-something-else", "nothing to do with what was sent"),
    ],
)
async def test_who_echoes_nothing_is_told_one_thing(
    handler: Callable[[socket.socket], object], cause: str, reason: str
) -> None:
    connections = itertools.count()

    def count(peer: socket.socket) -> None:
        next(connections)
        handler(peer)

    with listening(count) as address:
        result = await check_address(address, jobs=8)
    assert [each.id for each in result.causes] == [cause]
    assert ids(result, Verdict.FAIL) == {"1.2"}
    assert by_id(result)["1.2"].transcript
    assert ids(result, Verdict.INCONCLUSIVE) == WITHOUT_SPAWN - {"1.2"}
    assert reason in by_id(result)["2.5"].summary
    assert by_id(result)["2.5"].summary.startswith("not tried: ")
    assert any(reason in note for note in result.notes)
    assert result.outcome() == "not conformant"
    assert next(connections) < 30  # for no case but one
    told = " ".join(" ".join(suite_lines(result, Palette(False), strict=False, is_verbose=False)).split())
    assert f"? 2.1 to 2.9: not tried: {by_id(result)['2.5'].summary.removeprefix('not tried: ')} 3" in told


async def test_of_the_cases_that_were_named_one_shows_it() -> None:
    with listening(close) as address:
        result = await check_address(address, "2.5", "2.6", "4.5")
    assert [(each.id, each.verdict) for each in result.results] == [
        ("2.5", Verdict.FAIL),
        ("2.6", Verdict.INCONCLUSIVE),
        ("4.5", Verdict.INCONCLUSIVE),
    ]


async def test_a_first_connection_that_is_dropped_is_an_exception() -> None:
    connections = itertools.count()

    def drop_first(peer: socket.socket) -> None:
        if next(connections):
            echo_frames(peer)

    with listening(drop_first) as address:
        result = await check_address(address, "1.2", "1.3")
    assert ids(result, Verdict.PASS) == {"1.2", "1.3"}
    assert result.round_trip_s > 0  # which was measured on others


async def test_only_the_first_connection_is_served() -> None:
    connections = itertools.count()

    def serve_first(peer: socket.socket) -> None:
        if next(connections):
            peer.recv(1 << 16)
            peer.recv(1)
        else:
            echo_frames(peer)

    with listening(serve_first) as address:
        result = await check_address(address)
    assert [each.id for each in result.causes] == ["only-first-connection"]


SERVES_THE_FIRST = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
peer, _ = server.accept()
peer.sendall(peer.recv(100))
peers = []
while True:
    peers.append(server.accept())
"""


@pytest.mark.slow
async def test_a_homework_that_says_nothing_is_graded() -> None:
    # To ask whether it listens takes its first connection; the case about that has another server.
    result = await check_command(command_of("-c", SERVES_THE_FIRST, "{port}"))
    assert [each.id for each in result.causes] == ["only-first-connection"]
    assert by_id(result)["1.2"].verdict is Verdict.FAIL
    assert by_id(result)["6.1"].verdict is Verdict.PASS


CRASHES = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer, _ = server.accept()
    if peer.recv(100):
        raise SystemExit("no idea what to do with a frame")
"""


async def test_a_server_that_a_frame_ends_is_told_with_its_last_words() -> None:
    result = await check_command(command_of("-c", CRASHES, "{port}"))
    found = by_id(result)["1.2"]
    assert any("ended with exit code 1" in note for note in found.notes)
    assert any("no idea what to do with a frame" in note for note in found.notes)
    assert {each.id for each in result.causes} == {"closes-at-first-frame"}


# ---- what the answers have to do with the frames ----


def told_by(*data: bytes) -> str | None:
    answers = [Answer(b"hello", each, None if each else Kind.END) for each in data]
    found = blocker_in(answers, Kind.SILENCE, Wire())
    return found.cause_id if found else None


@pytest.mark.parametrize(
    "reply",
    [
        b"hello",
        b"\0\5hello",
        b"\0\0\0\x05HELLO",
        b"\0\0\0\x05olleh",
        b"\0\0",
        b"\0\0\0\x0becho: hel",
        b"5\nhello\n",
    ],
)
def test_what_is_wrong_with_an_echo_is_for_the_cases_to_say(reply: bytes) -> None:
    assert told_by(reply) is None
    assert told_by(b"", b"", reply) is None


def test_what_is_no_echo_is_not() -> None:
    assert told_by(b"\x8f\x90\x91", b"") == "answers-something-else"
    assert told_by(b"", b"") == "closes-at-first-frame"


# ---- slow servers ----


def trickle(peer: socket.socket) -> None:
    """Byte by byte, forty in a second."""
    while len(header := receive_exactly(peer, 4)) == 4:
        for byte in header + receive_exactly(peer, int.from_bytes(header, "big")):
            peer.sendall(bytes([byte]))
            time.sleep(0.025)


@pytest.mark.slow
async def test_who_echoes_a_few_bytes_in_a_second_is_not_waited_for() -> None:
    with listening(trickle) as address:
        result = await check_address(address, jobs=8)
    assert ids(result, Verdict.PASS) == {"1.2"}
    assert ids(result, Verdict.INCONCLUSIVE) == WITHOUT_SPAWN - {"1.2"}
    assert any("bytes per second" in note for note in result.notes)
    assert result.outcome() == "inconclusive"


def think(peer: socket.socket) -> None:
    """As `echo_frames`, a tenth of a second for each."""
    while len(header := receive_exactly(peer, 4)) == 4:
        payload = receive_exactly(peer, int.from_bytes(header, "big"))
        time.sleep(0.1)
        peer.sendall(header + payload)


async def test_a_slow_server_that_is_right_is_asked_for_fewer_echoes() -> None:
    with listening(think) as address:
        result = await check_address(address, "2.5", "2.6", "3.8", jobs=8)
    found = by_id(result)
    assert ids(result, Verdict.PASS) == {"2.5", "2.6"}
    assert found["3.8"].verdict is Verdict.NOT_APPLICABLE  # it is no wait for an acknowledgement
    frames = int(found["2.6"].summary.split()[0])
    assert 2 <= frames <= 30
    assert any("the server is slow" in note for note in result.notes)


def test_patience_and_demands_follow_from_the_pace() -> None:
    usual, slow, very_slow = Pace(0.0001), Pace(0.3, 0.3), Pace(5.0, 5.0, 5.0)
    assert (usual.patience_s, usual.confirm_patience_s) == pytest.approx((1, 3), rel=0.01)
    assert (slow.patience_s, slow.confirm_patience_s) == pytest.approx((2.5, 7.5))
    assert (very_slow.patience_s, very_slow.confirm_patience_s) == (10, 20)
    assert usual.echoes_one_by_one > 1000
    assert usual.echoes_at_once > 5000
    assert usual.connections > 1000
    assert (slow.echoes_one_by_one, slow.echoes_at_once, slow.connections) == (10, 10, 10)
    assert (very_slow.echoes_one_by_one, very_slow.echoes_at_once, very_slow.connections) == (2, 2, 2)
    assert [each.is_slow for each in (usual, slow, very_slow)] == [False, True, True]
    assert Pace(0.0001, connect_s=0.5).is_slow


# ---- what comes though nobody asked, now and then ----


async def test_heartbeats_are_told_for_what_they_are() -> None:
    def tick(peer: socket.socket) -> None:
        peer.settimeout(0.2)  # seldom enough for echoes on a busy machine, often enough for the preflight
        buffer = b""
        while True:
            try:
                data = peer.recv(1 << 16)
            except TimeoutError:
                peer.sendall(b"\0\0\0\4tick")
                continue
            if not data:
                return
            buffer += data
            while len(buffer) >= 4 and len(buffer) >= (end := 4 + int.from_bytes(buffer[:4], "big")):
                peer.sendall(buffer[:end])
                buffer = buffer[end:]

    with listening(tick) as address:
        result = await check_address(address, "1.2", "2.5", "2.9", jobs=8)
    assert ids(result, Verdict.PASS) == {"1.2", "2.5"}
    assert [each.id for each in result.causes] == ["speaks-unasked"]


@pytest.mark.slow
async def test_who_answers_the_second_frame_is_known_by_it_also_when_it_was_started_anew() -> None:
    command = shlex.join([sys.executable, "-m", "trioecho", "faulty", "one-behind", "--port", "{port}"])
    result = await check_command(command, "1.2")
    assert [cause.id for cause in result.causes] == ["one-behind"]
