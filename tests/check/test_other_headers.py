"""A server that speaks other headers than it is checked with is told so, whatever its replies look like."""

from __future__ import annotations

import itertools

import pytest
import trio

from tests.faulty.test_faulty import serve_until_stopped
from tests.support.guard import guarded
from tests.support.slow import slow
from trioecho.check.client.finding import Kind
from trioecho.check.client.settings import Settings
from trioecho.check.client.wire import Wire
from trioecho.check.diagnosis.diagnosis import name_causes
from trioecho.check.preflight.other_headers import Exchanged, may_be_of
from trioecho.check.preflight.preflight import run_preflight
from trioecho.check.preflight.result import Preflight
from trioecho.cli.check_wire import wire_of
from trioecho.cli.faulty_format import header_format_of
from trioecho.faulty import EchoServer
from trioecho.faulty.reading import NoFraming
from trioecho.framing import FrameFormat

WIDTHS = ("u8", "u16be", "u16le", "u32be", "u32le", "u64be", "u64le")
COUNTING = ("u8+header", "u16be+header", "u16le+header", "u32be+header", "u32le+header", "u64be+header")
# Each looks like something else: an empty frame comes back, or a part of what was sent, or all of it.
USUAL = {("u16le", "u32be"), ("u16be", "u32be"), ("u8", "u16le"), ("u16le+header", "u32be")}


async def look(server: EchoServer, asked: str) -> Preflight:
    async def locate() -> tuple[str, int]:
        return server.address

    with guarded(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_until_stopped, server)
            try:
                return await run_preflight(locate, Settings(wire=wire_of(FrameFormat.parse(asked))))
            finally:
                server.stop()


@pytest.mark.parametrize(
    ("spoken", "asked"),
    [
        pair if pair in USUAL else slow(*pair)
        for pair in itertools.product(WIDTHS + COUNTING, ("u16be", "u16le", "u32be", "u32le", "u64be", "u8"))
        if pair[0] != pair[1]
    ],
)
async def test_the_headers_are_found_that_a_server_speaks(spoken: str, asked: str) -> None:
    found = await look(EchoServer(format=header_format_of(FrameFormat.parse(spoken))), asked)
    assert str(found.other_wire) == spoken
    assert found.blocker is not None
    assert f"It replies to --format {spoken}." in found.blocker.detail
    one, other = FrameFormat.parse(spoken), FrameFormat.parse(asked)
    if one.header_bytes != other.header_bytes:
        assert found.blocker.cause_id == "other-header-width"
    elif one.byte_order != other.byte_order:
        assert found.blocker.cause_id == "little-endian"
    else:
        assert found.blocker.cause_id == "length-includes-header"


@pytest.mark.parametrize("server_class", [EchoServer, NoFraming])
async def test_no_other_headers_are_found_where_frames_are_echoed(server_class: type[EchoServer]) -> None:
    found = await look(server_class(), "u32be")
    assert (found.echoes, found.other_wire, found.blocker) == (True, None, None)


async def test_what_shows_narrower_headers_is_tried() -> None:
    found = await look(EchoServer(format=header_format_of(FrameFormat.parse("u16be"))), "u32be")
    assert found.blocker is not None
    assert found.blocker.shown_by == ("5.3",)
    assert "Short frames of u32be come back right, too" in found.blocker.detail


@pytest.mark.parametrize(
    ("asked", "cause_id", "advice"),
    [
        ("u32be", "other-header-width", "4 bytes by default"),
        ("u16le", "other-header-width", "The header has 2 bytes, as --format u16le says."),
        (
            "u16le",
            "little-endian",
            "The least significant byte of a length comes first, as --format u16le says.",
        ),
        ("u32be+header", "length-includes-header", "that of the header and the payload together"),
        ("mqtt", "header-taken-whole", "until the header is complete"),
    ],
)
def test_the_advice_is_for_the_headers_that_are_asked_for(asked: str, cause_id: str, advice: str) -> None:
    wire = wire_of(FrameFormat.parse(asked))
    [cause] = name_causes({}, wire, everywhere=cause_id, is_blocked=True).causes
    assert advice in cause.advice
    assert "recv(4)" not in cause.words


@pytest.mark.parametrize("spoken", WIDTHS + COUNTING)
def test_what_a_server_does_with_other_headers_never_leaves_out_its_own(spoken: str) -> None:
    own = wire_of(FrameFormat.parse(spoken))
    for asked in WIDTHS + COUNTING:
        for payloads in ((b"hello",), (b"x",), (b"hello", b"hello again")):
            sent = wire_of(FrameFormat.parse(asked)).frames(*payloads)
            echoes = b"".join(own.whole_frames(sent))
            for ending in (None, Kind.SILENCE, Kind.END, Kind.RESET):
                assert may_be_of(own, Exchanged(sent, echoes, ending))
            assert may_be_of(own, Exchanged(sent, b"", Kind.RESET))  # echoes may be lost
            assert may_be_of(own, Exchanged(b"", b"", Kind.END))


def test_what_no_server_of_these_headers_does_leaves_them_out() -> None:
    sent = b"\5\0\0\0hello"
    assert not may_be_of(Wire(2, "little"), Exchanged(sent, b"", Kind.END))  # a whole frame and no echo
    assert not may_be_of(Wire(4, "little"), Exchanged(sent, b"\5\0\0\0HELLO", Kind.SILENCE))
    assert may_be_of(Wire(2), Exchanged(sent, b"", Kind.END))  # over its limit
    assert may_be_of(Wire(2), Exchanged(b"\0\0hello", b"", Kind.END))  # an empty frame, taken for an end
