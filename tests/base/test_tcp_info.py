"""TCP_INFO: structures of kernels of all ages, as bytes, and the real one of this kernel."""

from __future__ import annotations

import socket
import struct
import sys

import pytest

from trioecho.base.tcp_info import HAS_TCP_INFO, TcpInfo, parse_tcp_info, read_tcp_info

# Offsets as linux/tcp.h has them, which are written down here once more.
PLACES = {
    "rto_us": (8, "I", 201_000),
    "rtt_us": (68, "I", 150),
    "rtt_deviation_us": (72, "I", 75),
    "congestion_window": (80, "I", 10),
    "retransmits": (100, "I", 12),
    "unsent_bytes": (144, "I", 4096),
    "least_rtt_us": (148, "I", 42),
    "data_segments": (156, "I", 1000),
    "busy_us": (168, "Q", 5_000_000_000),
    "window_limited_us": (176, "Q", 2_000_000),
    "buffer_limited_us": (184, "Q", 1_000_000),
    "needless_retransmits": (216, "I", 5),
    "out_of_order": (224, "I", 3),
}
WHOLE = TcpInfo(**{name: value for name, (_, _, value) in PLACES.items()})


def structure(size: int, **changes: int) -> bytes:
    """A structure whose other bytes are all set, so that none of them can be taken for a value."""
    data = bytearray(b"\xa5" * max(size, 280))
    for name, (offset, kind, value) in PLACES.items():
        struct.pack_into(f"={kind}", data, offset, changes.get(name, value))
    return bytes(data[:size])


@pytest.mark.parametrize("size", [228, 232, 248, 280, 400])
def test_a_kernel_of_today_or_later_says_all(size: int) -> None:
    assert parse_tcp_info(structure(size)) == WHOLE


@pytest.mark.parametrize("size", range(104, 228))
def test_an_older_kernel_says_what_it_has_whole(size: int) -> None:
    info = parse_tcp_info(structure(size))
    names = [
        name
        for name, (offset, kind, _) in PLACES.items()
        if offset + struct.calcsize(f"={kind}") <= size and name not in ("busy_us", "window_limited_us")
    ]
    if size >= 192:  # the three times came together
        names += ["busy_us", "window_limited_us"]
    if size < 152:
        names = [name for name in names if name != "unsent_bytes"]  # came with the shortest round trip
    for name in TcpInfo._fields:
        assert getattr(info, name) == (getattr(WHOLE, name) if name in names else None)


@pytest.mark.parametrize("size", [0, 8, 103])
def test_what_is_shorter_is_no_structure(size: int) -> None:
    with pytest.raises(ValueError, match=f"has 104 bytes at least, not {size}"):
        parse_tcp_info(structure(size))


@pytest.mark.parametrize("size", [160, 280])
def test_a_connection_without_a_round_trip_has_no_shortest_one(size: int) -> None:
    assert parse_tcp_info(structure(size, least_rtt_us=0xFFFFFFFF)).least_rtt_us is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_this_kernel_says_what_a_connection_did() -> None:
    assert HAS_TCP_INFO
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()) as near, listener.accept()[0] as far:
            before = read_tcp_info(near)
            for _ in range(10):
                near.sendall(b"x" * 100)
                assert far.recv(1000)
                far.sendall(b"y")
                assert near.recv(1000)
            after = read_tcp_info(near)
        closed = read_tcp_info(near)
    assert before is not None
    assert after is not None
    assert closed is None
    assert after.rto_us > after.rtt_us > 0
    assert after.congestion_window > 0
    assert after.retransmits == 0
    assert (after.data_segments, before.data_segments) == (10, 0)
    assert after.unsent_bytes == 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such sockets")
def test_other_sockets_have_none() -> None:
    near, far = socket.socketpair()
    with near, far:
        assert read_tcp_info(near) is None
