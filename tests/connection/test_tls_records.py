"""Where records of TLS end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trioecho.connection.tls_records import RecordScanner

EVER = 1 << 30


def follow_all(scanner: RecordScanner, data: bytes | memoryview) -> None:
    while data:
        data = data[scanner.follow(data, EVER) :]


records = st.lists(st.binary(max_size=40), max_size=8)


@given(records, st.lists(st.integers(0, 60), max_size=12), st.data())
def test_whether_the_last_record_has_come_in_part_is_known_however_they_were_cut(
    payloads: list[bytes], sizes: list[int], data: st.DataObject
) -> None:
    wire = b""
    ends = {0}
    for payload in payloads:
        wire += b"\x17\x03\x03" + len(payload).to_bytes(2, "big") + payload
        ends.add(len(wire))
    scanner = RecordScanner()
    position = 0
    for size in [*sizes, len(wire)]:
        piece = wire[position : position + size]
        follow_all(scanner, memoryview(piece) if data.draw(st.booleans()) else piece)
        position += len(piece)
        assert scanner.is_inside_one == (position not in ends)


def test_it_follows_so_many_records_and_stops_where_the_next_begins() -> None:
    wire = b"".join(b"\x17\x03\x03\0" + bytes([size]) + bytes(size) for size in (7, 0, 3))
    scanner = RecordScanner()
    assert scanner.follow(wire[:3], EVER, 1) == 3
    assert scanner.follow(wire[3:], EVER, 1) == 17 - 3  # one besides that which had begun
    assert (scanner.count, scanner.is_inside_one) == (2, False)
    assert scanner.follow(wire[17:-1], EVER, 1) == 7
    assert (scanner.count, scanner.is_inside_one) == (3, True)


def test_cut_twice_at_any_two_places() -> None:
    wire = b"".join(b"\x17\x03\x03\0" + bytes([size]) + bytes(range(size)) for size in (7, 0, 3))
    for first in range(len(wire) + 1):
        for second in range(first, len(wire) + 1):
            scanner = RecordScanner()
            for piece in (wire[:first], wire[first:second]):
                follow_all(scanner, piece)
            assert scanner.is_inside_one == (second not in (0, 12, 17, 25))
            follow_all(scanner, wire[second:])
            assert not scanner.is_inside_one


@given(records, st.lists(st.tuples(st.integers(1, 60), st.integers(1, 90)), max_size=12))
def test_what_is_followed_ends_where_a_record_does_if_one_ends_among_it(
    payloads: list[bytes], cuts: list[tuple[int, int]]
) -> None:
    wire = b""
    ends = []
    for payload in payloads:
        wire += b"\x17\x03\x03" + len(payload).to_bytes(2, "big") + payload
        ends.append(len(wire))
    scanner = RecordScanner()
    position = 0
    for here, most in [*cuts, (EVER, EVER)]:
        received = memoryview(wire)[position : position + here]
        while received:
            last = position + min(len(received), most)
            count = scanner.follow(received, most)
            among = [end for end in ends if position < end <= last]
            position += count
            assert position == (among[-1] if among else last)
            assert scanner.is_inside_one == (not among)
            assert scanner.count == sum(begin + 5 <= position for begin in [0, *ends[:-1]] if wire)
            received = received[count:]
    assert position == len(wire)
