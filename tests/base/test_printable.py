"""Addresses in words, and texts of others that cannot drive a terminal."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.base.addresses import format_address
from trioecho.base.printable import printable, printable_line

LOOPBACK = socket.if_indextoname(1)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        (("fe80::1", 80, 0, 1), f"[fe80::1%{LOOPBACK}]:80"),
        ((f"fe80::1%{LOOPBACK}", 80, 0, 1), f"[fe80::1%{LOOPBACK}]:80"),
        (("fe80::1", 80, 0, 4_000_000), "[fe80::1%4000000]:80"),
        ("/run/echo", "unix:/run/echo"),
        (("unix:/run/echo", 0), "unix:/run/echo"),
        ("/run/e\nc", "unix:/run/e\\nc"),
        (b"\0echo", "unix:@echo"),
        ("", "a Unix socket"),
    ],
)
def test_addresses(address: object, words: str) -> None:
    assert format_address(address) == words


@given(st.binary() | st.text())
def test_what_is_shown_cannot_drive_a_terminal(data: bytes | str) -> None:
    assert all(c.isprintable() or c in "\n\t" for c in printable(data))
    assert printable_line(data).isprintable()


def test_escapes_say_what_there_was() -> None:
    assert printable(b"\x1b]0;owned\x07 \xff\r\nnext\ttab") == "\\x1b]0;owned\\x07 \\xff\nnext\ttab"
    assert printable_line("a\nb\tc") == "a\\nb\\tc"
