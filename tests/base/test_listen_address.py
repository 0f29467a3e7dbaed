"""Where a service listens, as users write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.base.listen_address import (
    EVERY_HOST,
    DescriptorAddress,
    ListenAddress,
    TcpAddress,
    UnixAddress,
    parse_listen_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", TcpAddress(("127.0.0.1",), 80)),
        ("localhost:0", TcpAddress(("localhost",), 0)),
        ("[::]:80", TcpAddress(("::",), 80)),
        ("[fe80::1%lo]:80", TcpAddress(("fe80::1%lo",), 80)),
        (":80", TcpAddress(EVERY_HOST, 80)),
        ("*:80", TcpAddress(EVERY_HOST, 80)),
        ("unix:/run/echo.sock", UnixAddress("/run/echo.sock")),
        ("unix:echo:1", UnixAddress("echo:1")),
        ("fd://3", DescriptorAddress(3)),
        ("fd:3", DescriptorAddress(3)),
    ],
)
def test_an_address_is_read(text: str, address: ListenAddress) -> None:
    assert parse_listen_address(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not an address to listen on; write HOST:PORT"),
        ("localhost", "is not an address to listen on; write HOST:PORT"),
        ("::1:80", "is not an address to listen on; write HOST:PORT"),
        ("localhost:", "has no port"),
        ("localhost:65536", "has no port"),
        ("localhost:http", "has no port"),
        ("a b:80", "has no host"),
        ("unix:", "has no path"),
        ("unix:/a\0b", "has no path"),
        ("unix:" + "x" * 108, "has a path of 108 bytes, and that of a Unix socket has 107 at most"),
        ("unix:" + "ä" * 54, "has a path of 108 bytes, and that of a Unix socket has 107 at most"),
        ("fd://x", "is no descriptor"),
        ("fd://-1", "is no descriptor"),
    ],
)
def test_what_is_no_address_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_listen_address(text)


@given(st.text() | st.from_regex(r"(unix:|fd:|\[)?.*:\d*"))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_listen_address(text)
    except ValueError:
        return
    if not (isinstance(address, TcpAddress) and len(address.hosts) > 1):
        assert parse_listen_address(str(address)) == address
