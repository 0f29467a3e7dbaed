"""The words that describe a frame, and what is said of those that do not."""

from __future__ import annotations

import re

import pytest

from trioecho.framing import PRESETS, FormatSyntaxError, FrameFormat


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("u32be", FrameFormat()),
        ("U16LE+header", FrameFormat(2, "little", True)),
        ("u32be+itself", FrameFormat(4, "big", True)),
        ("u32be+4", FrameFormat(4, "big", True)),
        ("any1,any2,u32be", FrameFormat.parse("any3,u32be")),
        ("x01,x02,u32be", FrameFormat.parse("x0102,u32be")),
        ("u32be,payload", FrameFormat()),
        ("any2,u16be+2,any2", FrameFormat.parse("any2,u16be+itself,any2")),
        ("varint9", FrameFormat.parse("varint")),
        ("ber4", FrameFormat.parse("ber")),
        ("dec4-4", FrameFormat.parse("dec4")),
        ("dns", FrameFormat(2)),
        (" MQTT ", FrameFormat.parse("any1,varint4")),
        ("any1,any1,pad8,u8,payload", FrameFormat.parse("any2,pad8,u8")),
        ("u8,pad8,any1,any1", FrameFormat.parse("u8,pad8,any2")),
    ],
)
def test_formats_that_are_the_same_are_equal_and_print_alike(text: str, same: FrameFormat) -> None:
    assert FrameFormat.parse(text) == same
    assert str(FrameFormat.parse(text)) == str(same)
    assert repr(FrameFormat.parse(text)) == repr(same)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not a frame format; write u32be for 4 bytes"),
        (",", "part 1 is empty; between two commas stands u32be, varint"),
        ("u8be", "part 1, 'u8be', has one byte and no byte order; write u8"),
        ("u32be,,x00", "part 2 is empty"),
        ("u32", "'u32': part 1, 'u32', needs its byte order; write u32be or u32le"),
        ("u33", "needs its byte order; write u33be or u33le"),
        ("any1,u65be", "'any1,u65be': part 2, 'u65be', has to have from 1 to 64 bits"),
        ("i31be", "part 1, 'i31be', has to have whole bytes, as i32be"),
        ("u31be:2", "has room for flags up to 1"),
        ("foo", "'foo' is not a frame format; write u32be for 4 bytes"),
        (
            "any1,foo",
            "'any1,foo': part 2, 'foo', is none of u32be, varint, dec4, hex4, ber, any2, x30, pad8 or "
            "payload",
        ),
        ("any3", "'any3' has no length; it needs one of u32be, varint, dec4, hex4, ber"),
        ("u8,u8", "part 2, 'u8', is a second length; a frame has one"),
        ("payload,u8", "part 1, 'payload', comes before any length"),
        ("u8,payload,payload", "part 3, 'payload', is there twice"),
        ("any0,u8", "has to be from any1 to any1024"),
        ("any1000,u8,any1000", "has more than 1024 bytes beside its payload"),
        ("x,u8", "has to have two hexadecimal digits for each byte"),
        ("x3,u8", "has to have two hexadecimal digits for each byte"),
        ("varint+header", "cannot count itself, since its own width varies; write +rest or +N"),
        ("u8+foo", "can count +header, +itself, +rest, +trailer or a number of bytes, as +4"),
        (
            "any3,u1+header",
            "'any3,u1+header': part 2, 'u1+header', cannot express the 4 bytes that it counts",
        ),
        ("dec0", "has to have from 1 to 19 digits, the fewer first: dec4, dec1-9"),
        ("dec9-1,x3a", "has to have from 1 to 19 digits"),
        ("dec1-9", "needs a byte behind it at which it ends and which is no digit: dec1-9,x3a for a colon"),
        ("hex1-8,x61", "needs a byte behind it at which it ends"),
        (
            "pad8,u8,pad8",
            "part 3, 'pad8', is there twice; one byte in front of the payload counts the padding",
        ),
        ("u8,payload,pad8", "part 3, 'pad8', stands behind the payload"),
        ("u8,pad8,payload,x00", "has padding (pad8) and something else behind the payload; one can be"),
        ("varint10", "has to be from varint1 to varint9"),
        ("ber9", "has to be from ber1 to ber8"),
    ],
)
def test_what_is_no_format_is_told_where_and_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(FormatSyntaxError, match=re.escape(said)) as caught:
        FrameFormat.parse(text)
    assert caught.value.text == text
    assert "\n" not in str(caught.value)


def test_a_byte_that_counts_padding_is_not_one_that_may_be_anything() -> None:
    texts = ["pad8,any1,u8", "any1,pad8,u8", "any2,u8", "any1,u8,pad8", "any1,u8,any1", "pad8,u8,any1"]
    assert len({FrameFormat.parse(text) for text in texts}) == len(texts)
    assert [str(FrameFormat.parse(text)) for text in texts] == texts


def test_a_long_text_is_shortened_where_it_is_quoted() -> None:
    with pytest.raises(FormatSyntaxError) as caught:
        FrameFormat.parse("u" * 10_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_written_as_it_prints_itself(name: str) -> None:
    preset = PRESETS[name]
    frame_format = FrameFormat.parse(name)
    assert str(frame_format) == preset.format
    assert preset.about
    assert preset.source
    assert preset.limit is None or 0 < preset.limit <= frame_format.max_payload_length
    assert name == name.lower()
