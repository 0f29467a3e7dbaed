"""The fault proxy: what it does to bytes, and how the client and other peers bear it."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.faults import numbers, of_frames
from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.proxies import ProxyProcess, proxy_process
from tests.support.slow import slow
from tests.support.sockets import free_port, port_that_refuses, receive_all, receive_exactly, reset
from tests.support.wire import frame
from trioecho import FrameFormat, encode_frame
from trioecho.proxy import Cut, Faults, FaultStream, FrameFault, FrameRule, Send, Step
from trioecho.proxy.frame_stage import MAX_KEPT_BYTES, FrameStage

payload_lists = st.lists(st.binary(max_size=20), min_size=1, max_size=8)
cuts = st.lists(st.integers(min_value=1, max_value=30), min_size=1, max_size=40)


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        if at < len(data):
            yield data[at : at + size]
            at += size
    if at < len(data):
        yield data[at:]


def run(faults: Faults, data: bytes, sizes: list[int] | None = None, seed: int = 0) -> list[Step]:
    stream = FaultStream(faults, numbers(seed))
    steps = [step for piece in pieces(data, sizes or []) for step in stream.receive(piece)]
    return steps + stream.end()


def sent(steps: list[Step]) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Send))


def frames(*payloads: bytes) -> bytes:
    return b"".join(map(frame, payloads))


# ---- bytes in, steps out ----


@given(
    st.binary(max_size=300),
    cuts,
    st.builds(
        Faults,
        slice_bytes=st.none() | st.tuples(st.integers(1, 5), st.integers(5, 9)),
        coalesce_bytes=st.integers(0, 100),
        delay_s=st.just((0.0, 0.1)),
        bandwidth_bytes_per_s=st.integers(0, 1000),
        frame_rules=st.lists(
            st.builds(FrameRule, st.sampled_from(list(FrameFault)), probability=st.just(0.0)), max_size=2
        ).map(tuple),
    ),
)
def test_without_a_chosen_frame_all_bytes_pass_as_they_are(
    data: bytes, sizes: list[int], faults: Faults
) -> None:
    assert sent(run(faults, data, sizes)) == data


@given(payload_lists, cuts, st.integers(1, 9), st.sampled_from(list(FrameFault)), st.integers(0, 3))
def test_how_the_bytes_come_in_does_not_change_what_happens(
    payloads: list[bytes], sizes: list[int], number: int, fault: FrameFault, seed: int
) -> None:
    data = frames(*payloads)
    faults = of_frames(fault, on_frame=number)
    cut = run(faults, data, sizes, seed)
    whole = run(faults, data, None, seed)
    assert sent(cut) == sent(whole)
    assert [step for step in cut if isinstance(step, Cut)] == [
        step for step in whole if isinstance(step, Cut)
    ]


@given(payload_lists, cuts, st.integers(0, 7))
def test_frames_are_dropped_duplicated_swapped(payloads: list[bytes], sizes: list[int], index: int) -> None:
    index %= len(payloads)
    data = frames(*payloads)
    before, this, after = payloads[:index], payloads[index], payloads[index + 1 :]

    def end(fault: FrameFault) -> bytes:
        return sent(run(of_frames(fault, on_frame=index + 1), data, sizes))

    assert end(FrameFault.DROP) == frames(*before, *after)
    assert end(FrameFault.DUPLICATE) == frames(*before, this, this, *after)
    assert end(FrameFault.SWAP) == frames(*before, *after[:1], this, *after[1:])


@given(payload_lists, cuts, st.integers(0, 7), st.integers(0, 99))
def test_one_bit_of_a_payload_is_turned_over(
    payloads: list[bytes], sizes: list[int], index: int, seed: int
) -> None:
    index %= len(payloads)
    data = frames(*payloads)
    changed = sent(run(of_frames(FrameFault.CORRUPT, on_frame=index + 1), data, sizes, seed))
    assert len(changed) == len(data)
    bits = [(at, (a ^ b).bit_count()) for at, (a, b) in enumerate(zip(data, changed, strict=True)) if a != b]
    start = len(frames(*payloads[:index])) + 4
    if payloads[index]:
        [(at, count)] = bits
        assert count == 1
        assert start <= at < start + len(payloads[index])
    else:
        assert not bits


@pytest.mark.parametrize(
    ("fault", "cut"),
    [
        (FrameFault.TRUNCATE, Cut.END),
        (FrameFault.RESET, Cut.RESET),
        (FrameFault.STALL, Cut.STALL),
    ],
)
@given(payload_lists, cuts, st.integers(0, 7), st.integers(0, 99))
def test_a_cut_is_inside_of_its_frame_and_nothing_follows(
    fault: FrameFault, cut: Cut, payloads: list[bytes], sizes: list[int], index: int, seed: int
) -> None:
    index %= len(payloads)
    steps = run(of_frames(fault, on_frame=index + 1), frames(*payloads), sizes, seed)
    assert steps[-1] is cut
    assert sum(isinstance(step, Cut) for step in steps) == 1
    before, through = frames(*payloads[:index]), frames(*payloads[: index + 1])
    assert through.startswith(sent(steps))
    assert len(before) + (cut is Cut.END) <= len(sent(steps)) < len(through)


@given(st.binary(max_size=100), cuts, st.integers(0, 120))
def test_a_reset_after_so_many_bytes(data: bytes, sizes: list[int], limit: int) -> None:
    steps = run(Faults(reset_after_bytes=limit, slice_bytes=(1, 7)), data, sizes)
    assert sent(steps) == data[:limit]
    assert (steps[-1:] == [Cut.RESET]) == (len(data) >= limit)


@pytest.mark.parametrize(("limit", "words"), [(1, "1 byte"), (3, "3 bytes")])
def test_the_log_says_that_the_connection_is_reset(limit: int, words: str) -> None:
    told: list[str] = []
    stream = FaultStream(Faults(reset_after_bytes=limit), numbers(0), lambda kind, words: told.append(words))
    stream.receive(b"12345")
    assert told == [f"the connection is reset after {words}"]


def test_bytes_are_held_back_until_there_are_enough_or_it_takes_too_long() -> None:
    stream = FaultStream(Faults(coalesce_bytes=10), numbers(0))
    assert stream.receive(b"12345") == []
    assert stream.holds_back
    assert stream.receive(b"67890") == [Send(b"1234567890")]
    assert not stream.holds_back
    assert stream.receive(b"abc") == []
    assert stream.flush() == [Send(b"abc")]


class CountedBytes(bytes):
    """Counts how many bytes are copied out of it, and into what is joined with it."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, int):
            return part
        CountedBytes.copied += len(part)
        return CountedBytes(part)

    def __radd__(self, other: Any) -> Any:
        if not isinstance(other, bytes):
            return NotImplemented
        CountedBytes.copied += len(other) + len(self)
        return CountedBytes(bytes.__add__(other, self))


@pytest.mark.parametrize("fault", [None, *FrameFault])
@pytest.mark.parametrize("probability", [0.0, 1.0])
@pytest.mark.parametrize(
    ("payloads", "piece"),
    [([bytes(1_000_000)] * 2, 1000), ([b""] * 16_384, 65_536), ([b"x"] * 10_000, 50_000), ([b"x"] * 2000, 1)],
    ids=["huge frames", "empty frames", "tiny frames", "tiny frames, byte by byte"],
)
def test_the_work_for_a_frame_grows_with_its_bytes_and_not_with_their_square(
    fault: FrameFault | None, probability: float, payloads: list[bytes], piece: int
) -> None:
    data = frames(*payloads)
    stage = FrameStage(of_frames(fault, probability=probability), numbers(0), lambda *_: None)
    CountedBytes.copied = passed = 0
    for at in range(0, len(data), piece):
        passed += sum(
            len(part)
            for part in stage.receive(CountedBytes(data[at : at + piece]))
            if isinstance(part, bytes)
        )
    assert passed <= 2 * len(data)
    assert CountedBytes.copied <= 8 * len(data)


@given(payload_lists, cuts, st.sampled_from(list(FrameFault)), st.integers(0, 9), st.sampled_from([0.5, 1.0]))
def test_a_fault_is_told_when_it_has_happened(
    payloads: list[bytes], sizes: list[int], fault: FrameFault, seed: int, probability: float
) -> None:
    data = frames(*payloads)
    faults = of_frames(fault, probability=probability)
    kinds: list[str] = []
    stream = FaultStream(faults, numbers(seed), lambda kind, words: kinds.append(kind))
    steps = [step for piece in pieces(data, sizes) for step in stream.receive(piece)]
    before_the_end = sent(steps)
    passed = before_the_end + sent(stream.end())
    if fault in (FrameFault.TRUNCATE, FrameFault.RESET, FrameFault.STALL):
        assert len(kinds) == (stream.cut is not None)
    elif fault is FrameFault.CORRUPT:
        assert len(kinds) == sum((a ^ b).bit_count() for a, b in zip(data, passed, strict=True))
    elif fault is FrameFault.SWAP:
        assert sorted(passed) == sorted(data)
        assert len(kinds) <= len(payloads) // 2
        assert len(kinds) >= (before_the_end != data[: len(before_the_end)])
        assert kinds or passed == data
    else:
        left = payloads_of(passed)
        assert len(kinds) == abs(len(left) - len(payloads))


def test_padding_belongs_to_a_frame() -> None:
    fastcgi = FrameFormat.parse("fastcgi")
    padded = encode_frame(b"hello", format=fastcgi, header=bytes.fromhex("0106000100000300"))
    plain = encode_frame(b"x", format=fastcgi)
    for size in (1, 7, 1000):
        faults = of_frames(FrameFault.DUPLICATE, on_frame=1, format=fastcgi)
        stream = FaultStream(faults, numbers(0), lambda *_: None)
        steps = [step for piece in pieces(padded + plain, [size] * 50) for step in stream.receive(piece)]
        assert sent(steps) + sent(stream.end()) == 2 * padded + plain


def payloads_of(wire: bytes) -> list[bytes]:
    payloads = []
    while wire:
        end = 4 + int.from_bytes(wire[:4], "big")
        payloads.append(wire[4:end])
        wire = wire[end:]
    return payloads


@pytest.mark.parametrize(
    ("fault", "passed", "kinds"),
    [
        (FrameFault.CORRUPT, b"\0\0\0\0" + b"\0\0\0\3ab", []),  # an empty one, and one that is cut off
        (FrameFault.DUPLICATE, b"\0\0\0\0" * 2 + b"\0\0\0\3ab", ["duplicated"]),
        (FrameFault.DROP, b"", ["dropped", "dropped"]),
        (FrameFault.SWAP, b"\0\0\0\3ab" + b"\0\0\0\0", []),
    ],
)
def test_what_happens_to_frames_that_are_empty_or_cut_off(
    fault: FrameFault, passed: bytes, kinds: list[str]
) -> None:
    told: list[str] = []
    stream = FaultStream(
        of_frames(fault),
        lambda rule: ChangesNothing(),
        lambda kind, words: told.append(kind),
    )
    assert sent(stream.receive(b"\0\0\0\0" + b"\0\0\0\3ab")) + sent(stream.end()) == passed
    assert told == kinds


class ChangesNothing(random.Random):
    """Chooses the last of all bytes, which does not come."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        return (start if stop is None else stop) - 1


@pytest.mark.parametrize("fault", [FrameFault.DUPLICATE, FrameFault.SWAP])
def test_a_frame_of_which_too_much_would_be_kept_passes_as_it_is(fault: FrameFault) -> None:
    told: list[tuple[str, str]] = []
    stream = FaultStream(of_frames(fault), numbers(0), lambda kind, words: told.append((kind, words)))
    header = (MAX_KEPT_BYTES + 1).to_bytes(4, "big")
    assert sent(stream.receive(header)) == header
    assert sent(stream.receive(b"x")) == b"x"
    [(kind, words)] = told
    assert kind == ""
    assert words == "frame 1 passes as it is: 268,435,461 bytes are too many to keep"


def test_chance_decides_by_the_seed_alone() -> None:
    data = frames(*[b"%d" % number for number in range(1000)])
    faults = of_frames(FrameFault.DROP, probability=0.25)
    first, again, other = (sent(run(faults, data, seed=seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert 0.65 < len(first) / len(data) < 0.85


def test_other_headers_and_lengths_that_make_no_sense() -> None:
    counted = FrameFormat(header_bytes=2, byte_order="little", length_includes_header=True)
    faults = of_frames(FrameFault.DROP, on_frame=2, format=counted)
    assert sent(run(faults, b"\3\0a\4\0bc\2\0")) == b"\3\0a\2\0"
    assert sent(run(faults, b"\1\0\4\0bc\4\0bc")) == b"\1\0\4\0bc\4\0bc"


@pytest.mark.parametrize(
    "wrong",
    [
        {"slice_bytes": (0, 1)},
        {"slice_bytes": (2, 1)},
        {"delay_s": (2.0, 1.0)},
        {"delay_s": (0.0, float("inf"))},
        {"gap_s": -1.0},
        {"bandwidth_bytes_per_s": float("nan")},
        {"coalesce_bytes": -1},
        {"reset_after_bytes": -1},
    ],
)
def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Faults(**wrong)


@pytest.mark.parametrize("wrong", [{"probability": 1.5}, {"on_frame": 0}])
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        FrameRule(FrameFault.DROP, **wrong)


# ---- the command ----


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    with server_process() as server:
        yield server.port


def load(proxy: ProxyProcess, *arguments: str) -> dict[str, Any]:
    """What a load through the proxy saw, one message in flight on each of 3 connections."""
    options = ("--connections", "3", "--messages", "40", "--size", "100", "--timeout", "2s", "--quiet")
    done = run_in_process("load", f"127.0.0.1:{proxy.port}", *options, "--json", "-", *arguments)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize(
    "arguments", [("--slice", "1-7"), slow(("--coalesce", "300", "--coalesce-time", "2ms"))]
)
def test_a_load_verifies_through_whatever_a_network_does(
    server_port: int, arguments: tuple[str, ...]
) -> None:
    with proxy_process(server_port, *arguments) as proxy:
        result = load(proxy, "--pipeline", "8")
        assert (result["messages"], result["errors"]) == (120, {})


@pytest.mark.parametrize(
    ("fault", "kind", "right"),
    [
        ("--corrupt", "wrong", 117),
        slow("--duplicate", "duplicated", 120),
        slow("--drop", "missing", 117),
    ],
)
def test_a_load_finds_what_the_proxy_did_to_each_connection(
    server_port: int, fault: str, kind: str, right: int
) -> None:
    with proxy_process(server_port, fault, "--on-frame", "7", "--direction", "to-client") as proxy:
        result = load(proxy, "--pipeline", "8")
        assert result["errors"] == {kind: 3}
        assert result["messages"] == right
        assert {each["number"] for each in result["discrepancies"]} <= {6, 7}


def client(proxy: ProxyProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_in_process("client", f"127.0.0.1:{proxy.port}", *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--slice", "1"),
        ("--slice", "1-7", "--delay", "0-1ms"),
        slow(("--coalesce", "300", "--coalesce-time", "2ms")),
        slow(("--delay", "1ms-3ms", "--direction", "to-client")),
        slow(("--bandwidth", "200KiB")),
    ],
    ids=" ".join,
)
def test_what_a_network_may_do_changes_nothing(server_port: int, arguments: tuple[str, ...]) -> None:
    with proxy_process(server_port, *arguments) as proxy:
        result = client(proxy, "-n", "20", "--size", "0-300")
        assert result.returncode == 0, result.stderr
        assert "all 20 messages" in result.stdout
        assert proxy.stop() == 0


@pytest.mark.parametrize(
    ("direction", "arguments", "message", "reported"),
    [
        ("to-client", ("--corrupt", "--on-frame", "7"), 7, "the echo differs at byte"),
        ("to-client", ("--drop", "--on-frame", "7"), 7, "no echo within"),
        slow("to-client", ("--duplicate", "--on-frame", "7"), 8, "the echo is that of message 7"),
        slow("to-client", ("--truncate", "--on-frame", "7"), 7, "no echo"),
        ("to-client", ("--reset", "--on-frame", "7"), 7, "no echo"),
        slow("to-client", ("--stall", "--on-frame", "7"), 7, "no echo within"),
        slow("to-client", ("--reset-after", "670"), 10, "no echo"),
        slow("to-server", ("--corrupt", "--on-frame", "7"), 7, "the echo differs at byte"),
        ("to-server", ("--truncate", "--on-frame", "7"), 7, "no echo"),
        slow("to-server", ("--reset-after", "670"), 10, "no echo"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_the_client_tells_what_went_wrong(
    server_port: int, direction: str, arguments: tuple[str, ...], message: int, reported: str
) -> None:
    with proxy_process(server_port, "--direction", direction, *arguments) as proxy:
        # Where an echo does not come; the others are in time on any machine, however busy.
        timeout = "2s" if {"--drop", "--stall"} & {*arguments} else "60s"
        result = client(proxy, "-n", "20", "--timeout", timeout)
        assert result.returncode == 1
        assert f"message {message}: {reported}" in result.stderr
        proxy.stop()
        assert f"connection 1, {direction}: " in proxy.log


def test_half_close_is_passed_on_both_ways(server_port: int) -> None:
    data = frames(b"one", b"", bytes(100_000))
    with proxy_process(server_port) as proxy, proxy.connect() as peer:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        assert receive_all(peer) == data


def test_backpressure_is_passed_on(server_port: int) -> None:
    with proxy_process(server_port) as proxy, proxy.connect(receive_buffer=4096) as peer:
        peer.settimeout(1.0)
        block = frame(bytes(65532)) * 16
        sent_bytes, most = 0, 1 << 28
        with contextlib.suppress(TimeoutError):
            while sent_bytes < most:
                sent_bytes += peer.send(block[sent_bytes % len(block) :])
        assert sent_bytes < most
        peer.settimeout(GUARD_S)
        assert receive_exactly(peer, len(block)) == block


def test_resets_are_passed_on_to_the_server_and_to_the_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD_S)
        with proxy_process(listener.getsockname()[1]) as proxy:
            peer = proxy.connect()
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(GUARD_S)
                peer.sendall(b"x")
                assert connection.recv(1) == b"x"
                reset(peer)
                with pytest.raises(ConnectionResetError):
                    connection.recv(1)
            with proxy.connect() as peer:
                connection, _ = listener.accept()
                connection.sendall(b"y")
                assert peer.recv(1) == b"y"
                reset(connection)
                with pytest.raises(ConnectionResetError):
                    peer.recv(1)


def test_a_server_that_is_not_there_resets_the_client_and_the_proxy_goes_on() -> None:
    with port_that_refuses() as port, proxy_process(port) as proxy:
        for _ in range(2):
            # Perhaps already while it connects.
            with pytest.raises(ConnectionResetError), proxy.connect() as peer:
                peer.recv(1)
        assert "cannot connect to the server" in proxy.read_log_line()
        assert proxy.stop(signal.SIGINT) == 0


def test_the_port_is_free_at_once_after_the_end(server_port: int) -> None:
    with proxy_process(server_port, "--listen", str(free_port())) as proxy:
        with proxy.connect() as peer:
            peer.sendall(frame(b"x"))
            assert receive_exactly(peer, 5) == frame(b"x")
            assert proxy.stop() == 0
        with proxy_process(server_port, "--listen", str(proxy.port)) as again:
            assert again.port == proxy.port


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("127.0.0.1:1", "--slice", "0"),
        ("127.0.0.1:1", "--delay", "2s-1s"),
        ("127.0.0.1:1", "--bandwidth", "0"),
        ("127.0.0.1:1", "--probability", "2"),
        ("127.0.0.1:1", "--on-frame", "3"),
        ("127.0.0.1:1", "--corrupt", "--drop"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...]) -> None:
    result = run_in_process("proxy", *arguments)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run_in_process("proxy", "--listen", str(taken.getsockname()[1]), "127.0.0.1:1")
    assert result.returncode == 3
    assert "cannot listen" in result.stderr
    assert len(result.stderr.splitlines()) == 1


# ---- how it ends, and what it says ----


@pytest.mark.parametrize("number", [signal.SIGTERM, slow(signal.SIGINT), signal.SIGHUP])
def test_the_last_line_counts_what_has_passed(server_port: int, number: signal.Signals) -> None:
    with proxy_process(server_port, "--drop", "--on-frame", "2", "--direction", "to-client") as proxy:
        with proxy.connect() as peer:
            peer.sendall(frame(b"one") + frame(b"two") + frame(b"three"))
            assert receive_exactly(peer, 16) == frame(b"one") + frame(b"three")
            proxy.send_signal(signal.SIGUSR2)
            proxy.send_signal(signal.SIGUSR1)
            assert proxy.process.stdout is not None
            passed = "bytes: 23 to the server, 16 to the client; faults: 1 dropped\n"
            assert proxy.process.stdout.readline() == (
                f"connections: 1 (1 open, 0 without a server); {passed}"
            )
            assert proxy.stop(number) == 0
            assert proxy.output == f"final: connections: 1 (0 open, 0 without a server); {passed}"
            with pytest.raises(ConnectionResetError):
                peer.recv(1)


def test_a_hang_up_that_was_ignored_stays_ignored(server_port: int) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which the process inherits, as from nohup
    try:
        with proxy_process(server_port) as proxy, proxy.connect() as peer:
            proxy.send_signal(signal.SIGHUP)
            peer.sendall(frame(b"still here"))
            assert receive_exactly(peer, 14) == frame(b"still here")
            assert proxy.stop() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_at_the_limit_of_open_files_clients_wait_and_all_are_served(server_port: int) -> None:
    with proxy_process(server_port, limit_of_open_files=32) as proxy:
        assert re.search(r"leaves room for \d connections at a time", proxy.read_log_line())
        peers = [proxy.connect() for _ in range(20)]
        for number, peer in enumerate(peers):
            peer.sendall(frame(b"%d" % number))
        for number, peer in enumerate(peers):
            with peer:
                reply = frame(b"%d" % number)
                assert receive_exactly(peer, len(reply)) == reply
        assert proxy.stop() == 0
        assert "20 (0 open, 0 without a server)" in proxy.output
        assert proxy.log == ""


def test_several_hosts_are_all_listened_on(server_port: int) -> None:
    with proxy_process(server_port, "--host", "127.0.0.1", "--host", "::1") as proxy:
        assert f"127.0.0.1:{proxy.port} and [::1]:{proxy.port}" in proxy.first_line
        for host in ("127.0.0.1", "[::1]"):
            assert run_in_process("client", f"{host}:{proxy.port}", "-n", "3").returncode == 0


def test_a_host_that_cannot_be_a_name_is_one_line() -> None:
    result = run_in_process("proxy", "\u0378x:9")
    assert result.returncode == 2
    assert "cannot be the name of a host" in result.stderr
    assert len(result.stderr.splitlines()) == 1
