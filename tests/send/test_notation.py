"""How people write messages, and how replies are shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho import Frame
from trioecho.base.printable import printable
from trioecho.send.notation import Notation, as_json, as_text, hex_lines, read_message


@pytest.mark.parametrize(
    ("written", "notation", "message"),
    [
        (b" as it \xff is ", Notation.TEXT, b" as it \xff is "),
        (b"00 fF", Notation.HEX, b"\x00\xff"),
        (b" 00ff\r", Notation.HEX, b"\x00\xff"),
        (b"", Notation.HEX, b""),
        (b"aGk=", Notation.BASE64, b"hi"),
        (b"aG k=\r", Notation.BASE64, b"hi"),
    ],
)
def test_what_is_written_and_what_is_sent(written: bytes, notation: Notation, message: bytes) -> None:
    assert read_message(written, notation) == message


@pytest.mark.parametrize(
    ("written", "notation", "words"),
    [
        (b"0", Notation.HEX, "two digits for each byte"),
        (b"0 0", Notation.HEX, "hexadecimal"),
        (b"xy", Notation.HEX, "hexadecimal"),
        (b"\xff", Notation.HEX, "hexadecimal"),
        (b"aGk", Notation.BASE64, "Base64"),
        (b"a-k=", Notation.BASE64, "Base64"),
        (b"\xff", Notation.BASE64, "Base64"),
    ],
)
def test_what_is_written_otherwise_is_refused(written: bytes, notation: Notation, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_message(written, notation)


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"hello", "hello"),
        ("grüße\n\tzwei".encode(), "grüße\n\tzwei"),
        (b"", "(empty)"),
        (b"\x1b[31m", "00000000  1b 5b 33 31 6d                                   |.[31m|"),
        ("\u202e".encode(), "00000000  e2 80 ae                                         |...|"),
    ],
)
def test_a_reply_is_shown_as_text_or_in_hexadecimal(payload: bytes, shown: str) -> None:
    assert as_text(Frame(b"\x00", payload), with_header=False) == shown
    assert as_text(Frame(b"\x0a\xff", payload), with_header=True) == f"header 0a ff\n{shown}"


@given(st.binary(max_size=70))
def test_all_bytes_of_a_dump_can_be_read_back(data: bytes) -> None:
    lines = hex_lines(data)
    assert [int(line[:8], 16) for line in lines] == list(range(0, len(data), 16))
    assert b"".join(bytes.fromhex(line[8:58]) for line in lines) == data
    assert {line.index("|") for line in lines} <= {59}


@given(st.one_of(st.binary(max_size=20), st.text(max_size=20).map(str.encode)))
def test_nothing_that_is_shown_needs_an_escape_and_json_has_every_byte(payload: bytes) -> None:
    frame = Frame(b"\x07", payload)
    shown = as_text(frame, with_header=False)
    assert printable(shown) == shown
    line = as_json(frame, with_header=True)
    assert "\n" not in line
    value = json.loads(line)
    assert value.pop("header") == "07"
    [(key, written)] = value.items()
    assert (written.encode() if key == "text" else bytes.fromhex(written)) == payload
    assert "header" not in json.loads(as_json(frame, with_header=False))
