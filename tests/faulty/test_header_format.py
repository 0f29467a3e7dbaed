"""The frames of the faulty servers and clients are those of the oracle, in any format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.framing.layouts import SPECS, Spec, naive_layout_frame, peers_frames
from tests.support.examples import examples
from trioecho.cli.faulty_format import header_format_of
from trioecho.faulty.header_format import HeaderFormat, RefusedError
from trioecho.framing import FrameFormat


def format_of(text: str) -> HeaderFormat:
    return header_format_of(FrameFormat.parse(text))


@examples(300)
@given(data=st.data(), spec=SPECS)
def test_headers_are_written_and_read_as_the_oracle_does(data: st.DataObject, spec: Spec) -> None:
    format = format_of(spec.text)  # noqa: A001 - the word of all commands
    assert format.longest_payload == spec.largest - spec.extra
    payload = bytes(data.draw(st.integers(0, min(300, format.longest_payload))))
    written = format.encode(len(payload)) + payload + format.encode_trailer()
    assert written == naive_layout_frame(payload, spec)
    frame = data.draw(peers_frames(payload, spec))
    size = format.size_in(frame)
    assert size is not None
    assert size >= format.header_bytes
    assert len(frame) == size + len(payload) + format.trailer_bytes(frame[:size])
    format.check_trailer(frame[size + len(payload) :])
    assert format.decode(frame[:size]) == len(payload)
    cut = data.draw(st.integers(0, size - 1))
    assert format.size_in(frame[:cut]) is None
    with pytest.raises(RefusedError):
        format.encode(format.longest_payload + 1)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("i32be", b"\xff\xff\xff\xff"),  # negative
        ("u32be+header", b"\0\0\0\3"),  # less than itself
        ("x68,u8", b"\x67\1"),
        ("dec4", b"12a4"),
        ("varint2", b"\x80\x80\1"),
    ],
)
def test_what_is_no_header_is_refused(text: str, data: bytes) -> None:
    format = format_of(text)  # noqa: A001 - the word of all commands

    def read() -> None:
        if format.size_in(data) == len(data):
            format.decode(data)

    with pytest.raises(RefusedError):
        read()


@pytest.mark.parametrize("trailer", [b";", b"", b",,"])
def test_another_trailer_is_refused(trailer: bytes) -> None:
    with pytest.raises(RefusedError):
        format_of("netstring").check_trailer(trailer)


def test_a_part_of_a_header_is_read_as_the_bug_has_it() -> None:
    assert format_of("u32be").decode(b"\5") == 5
    with pytest.raises(RefusedError):
        format_of("dec4").decode(b"")
