"""What tshark shows by a dissector of ours is what our decoder says, for any format, cuts and errors."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.framing.layouts import SPECS, Spec, peers_frames
from tests.support.captures import Segment, Shown, show, write_capture
from tests.support.examples import examples
from tests.support.programs import needs_program
from trioecho.dissect import wireshark_dissector
from trioecho.errors import (
    FrameTooLargeError,
    FrameTooSmallError,
    IncompleteFrameError,
    MalformedFrameError,
    RemoteProtocolError,
)
from trioecho.framing import PRESETS, FrameDecoder, FrameFormat, encode_frame, parse_layout

LIMIT = 3000
FIRST_PORT = 2000
# One of each way to write a number, with what it may count, in front of it and behind.
LAYOUTS = (
    *("u8", "u16le", "u32be", "u32le+header", "u64be", "u64le+header", "u24le,any1", "u40be", "u56le"),
    *("u31be:1", "u17be", "u60le:5", "u4:3", "i8", "i16le", "i24be", "i64le", "any2,u16be+rest,x00,any3"),
    *("varint", "varint1", "varint9,any2", "x01,varint2,payload,x0d0a", "ber", "ber2", "x30,ber8,any1"),
    *("dec4", "dec19", "dec1-9,x3a,payload,x2c", "hex4+header", "hex1-8,x0d0a,payload,x0d0a", "hex2-16,x20"),
    *("any3,u32be,payload,xce", "u16be+trailer,payload,any2", "u16be+header+trailer,any1,payload,any1,xff"),
    *("x01,any3,u16be,pad8,any1", "pad8,varint", "any1,pad8,dec1-9,x3a,any2", "hex4+header,x00,pad8"),
    *("u32be+itself,any2", "u32be+4", f"x{'ff' * 40},u16be+header,any1"),
)
# A format, what comes behind two frames, and which problem that is.
REFUSED = [
    ("u32be", "00000bb9", "too_large"),
    ("u32le", "000bb900", "too_large"),
    ("u64be", "ffffffffffffffff", "too_large"),
    ("u64le", "ffffffffffffff7f", "too_large"),
    ("u31be", "ffffffff", "too_large"),
    ("varint", "ffffffffffffffff7f", "too_large"),
    ("ber8,x00", "88ffffffffffffffff00", "too_large"),
    ("hex16", b"fffffffffffffff0".hex(), "too_large"),
    ("dec19", b"9999999999999999999".hex(), "too_large"),
    ("u32be+header", "00000003", "too_small"),
    ("u8+trailer,payload,x0000", "01", "too_small"),
    ("i32be", "ffffffff", "malformed"),
    ("i16le", "0080", "malformed"),
    ("i8", "80", "malformed"),
    ("varint", "8500", "malformed"),
    ("varint4", "80808080", "malformed"),
    ("ber", "80", "malformed"),
    ("ber2", "83000001", "malformed"),
    ("dec4", b"12a4".hex(), "malformed"),
    ("dec1-9,x3a", b"05:".hex(), "malformed"),
    ("dec1-9,x3a", b":::".hex(), "malformed"),
    ("hex4", b"00fg".hex(), "malformed"),
    ("hex1-8,x0d0a", b"5\r\r".hex(), "malformed"),
    ("any1,x3031,u8,x00", "aa30320100", "malformed"),
    ("u8,any2,x0203", "0100000201", "malformed"),
    ("dec1-9,x3a,payload,x2c", b"1:a.".hex(), "bad_trailer"),
    ("u8,payload,any1,xcecf", "0161 00 cece", "bad_trailer"),
]


class Case(NamedTuple):
    """One direction of a connection: its format, what was sent, and in which pieces."""

    format: FrameFormat
    wire: bytes
    pieces: Sequence[bytes]


def cut(wire: bytes, sizes: random.Random) -> list[bytes]:
    pieces, at = [], 0
    while at < len(wire):
        size = sizes.choice([1, 1, 2, 3, 7, 60, 500, 1400])
        pieces.append(wire[at : at + size])
        at += size
    return pieces


def whole_case(format: FrameFormat, values: random.Random) -> Case:
    """Some frames: of most of them the header comes byte by byte, others come with the one before."""
    pieces = [b""]
    for number, frame in enumerate(frames_of(format, values)):
        if number % 3 == 0:
            pieces[-1] += frame
        else:
            pieces += [*(frame[at : at + 1] for at in range(min(30, len(frame)))), *cut(frame[30:], values)]
    return Case(format, b"".join(pieces), pieces)


def frames_of(format: FrameFormat, values: random.Random) -> list[bytes]:
    most = min(format.max_payload_length, LIMIT)
    sizes = [min(most, size) for size in (5, 0, 1, 0, 127, 128, 300, 2, 1600, most)]
    padding_at = parse_layout(str(format)).padding_at
    frames = []
    for size in sizes:
        header, payload, padding = (
            bytearray(format.encode_header(size)),
            values.randbytes(size),
            format.trailer,
        )
        if padding_at is not None:
            padding = values.randbytes(size % 7)
            header[padding_at] = len(padding)
        frames.append(bytes(header) + payload + padding)
    return frames


def show_cases(
    cases: Sequence[Case], folder: Path, *options: str, kept: int | None = None
) -> list[tuple[Shown, Shown]]:
    """What is shown of both directions; the server sends back what it gets, in other pieces."""
    needs_program("tshark")
    connections, scripts = [], []
    for number, case in enumerate(cases):
        port, name = FIRST_PORT + number, f"f{number}"
        scripts.append(folder / f"{name}.lua")
        text = wireshark_dissector(case.format, max_frame_length=LIMIT, name=name, ports=[port])
        scripts[-1].write_text(text)
        segments: list[Segment] = [(True, piece) for piece in case.pieces]
        echoes = [case.wire[at : at + 1000] for at in range(0, len(case.wire), 1000)]
        connections.append((port, [*segments, *((False, piece) for piece in echoes)]))
    capture = folder / "capture.pcap"
    write_capture(capture, connections, kept=kept)
    shown = show(capture, scripts, *options)
    ports = {(stream, port > FIRST_PORT + len(cases)): one for (stream, port), one in shown.items()}
    return [
        (ports.get((number, True), Shown()), ports.get((number, False), Shown()))
        for number in range(len(cases))
    ]


def decoded(case: Case) -> tuple[list[tuple[bytes, bytes, bytes]], RemoteProtocolError | None]:
    """All frames, and what was refused."""
    decoder = FrameDecoder(format=case.format, max_frame_length=LIMIT)
    frames: list[tuple[bytes, bytes, bytes]] = []
    decoder.receive_data(case.wire)
    decoder.end_of_data()
    try:
        while (frame := decoder.next_whole_frame()) is not None:
            frames.append((frame.header, frame.payload, frame.trailer))
    except IncompleteFrameError:
        pass
    except RemoteProtocolError as error:
        return frames, error
    return frames, None


def check(case: Case, shown: Shown) -> None:
    """Hold what was shown to what the decoder says."""
    frames, error = decoded(case)
    assert shown.frames == frames
    if error is None:
        assert shown.problems == []
        return
    first, *others = shown.problems
    assert set(others) <= {"after"}
    match error:
        case FrameTooLargeError():
            more = (
                f"0x{error.length:x} has more than 64 bits" if error.length >> 64 else f"{error.length} bytes"
            )
            assert first == ("malformed" if error.length >> 64 else "too_large")
            assert more in shown.texts[0]
        case FrameTooSmallError():
            assert first == "too_small"
            assert f"a length of {error.length} " in shown.texts[0]
        case MalformedFrameError():
            assert first in ("malformed", "bad_trailer")
            assert error.reason in shown.texts[0]


SENT = random.Random(7)
WHOLE = {name: whole_case(FrameFormat.parse(name), SENT) for name in (*PRESETS, *LAYOUTS)}


def refused_case(format: FrameFormat, bad: bytes) -> Case:
    """Two frames, what is none, and frames behind it: some together with it, and some later."""
    good = encode_frame(b"", format=format) + encode_frame(b"ab", format=format)
    wire = good + bad + good + b"what has no meaning any more" * 2
    at = len(good) + 1
    return Case(format, wire, [wire[: at + 20], wire[at + 20 : at + 40], wire[at + 40 :]])


BROKEN = [refused_case(FrameFormat.parse(text), bytes.fromhex(bad)) for text, bad, _ in REFUSED]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Shown, Shown]]:
    """What tshark shows of all that is whole, and then of all that is not; it starts once."""
    return show_cases([*WHOLE.values(), *BROKEN], tmp_path_factory.mktemp("captures"))


@pytest.mark.parametrize(("number", "name"), [*enumerate(WHOLE)], ids=[*WHOLE])
def test_every_format_is_shown_as_it_is_decoded(
    number: int, name: str, shown: list[tuple[Shown, Shown]]
) -> None:
    frames, error = decoded(WHOLE[name])
    assert (len(frames), error) == (10, None)
    for direction in shown[number]:
        check(WHOLE[name], direction)


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        pytest.param(number, problem, id=f"{text} {bad}")
        for number, (text, bad, problem) in enumerate(REFUSED)
    ],
)
def test_what_is_refused_is_marked_and_so_is_what_follows(
    number: int, problem: str, shown: list[tuple[Shown, Shown]]
) -> None:
    for direction in shown[len(WHOLE) + number]:
        check(BROKEN[number], direction)
        assert len(direction.frames) == 2
        assert direction.problems[0] == problem
    # A frame whose trailer is wrong has an end, and then something comes in the same segment.
    count = 3 if problem == "bad_trailer" else 2
    assert shown[len(WHOLE) + number][0].problems == [problem, *["after"] * count]


@pytest.mark.parametrize(
    ("options", "kept_bytes"),
    [
        pytest.param(["-2"], None, id="as Wireshark does, which looks at packets again"),
        pytest.param(["-o", "tcp.desegment_tcp_streams:FALSE"], None, id="nothing is put together"),
        pytest.param(["-2"], 60, id="a capture of the beginnings of packets"),
    ],
)
def test_what_is_shown_of_a_frame_is_right_or_says_that_it_is_cut(
    options: list[str], kept_bytes: int | None, tmp_path: Path
) -> None:
    cases = [WHOLE[name] for name in ("mqtt", "netstring", "u32be", "ldap")]
    for case, directions in zip(cases, show_cases(cases, tmp_path, *options, kept=kept_bytes), strict=True):
        frames, _ = decoded(case)
        for direction in directions:
            if options == ["-2"] and kept_bytes is None:
                assert (direction.frames, direction.problems) == (frames, [])
            else:
                assert direction.frames == frames[: len(direction.frames)]
                assert {*direction.problems} in ({"cut", "after"}, {"after"})
                assert "cut" not in direction.problems[1:]


@st.composite
def any_cases(draw: st.DrawFn) -> Case:
    spec: Spec = draw(SPECS)
    most = min(spec.largest - spec.extra, 300)
    sizes = draw(st.lists(st.integers(0, most), min_size=1, max_size=4))
    values = random.Random(draw(st.integers(0, 1000)))
    payloads = map(values.randbytes, sizes)
    wire = bytearray(b"".join(draw(peers_frames(payload, spec)) for payload in payloads))
    if draw(st.booleans()):
        wire[draw(st.integers(0, len(wire) - 1))] = draw(
            st.sampled_from([0, 1, 0x30, 0x7F, 0x80, 0x81, 0xFF])
        )
    return Case(FrameFormat.parse(spec.text), bytes(wire), cut(bytes(wire), values))


@pytest.mark.slow
@given(st.lists(any_cases(), min_size=10, max_size=10))
@examples(60)
def test_any_layout_is_shown_as_it_is_decoded(
    tmp_path_factory: pytest.TempPathFactory, cases: list[Case]
) -> None:
    for case, directions in zip(cases, show_cases(cases, tmp_path_factory.mktemp("any")), strict=True):
        for direction in directions:
            check(case, direction)
