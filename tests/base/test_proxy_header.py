"""Headers of the PROXY protocol: whole, cut, wrong, and beside another implementation's."""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from proxyprotocol import ProxyProtocol
from proxyprotocol.result import (
    ProxyResult,
    ProxyResultIPv4,
    ProxyResultIPv6,
    ProxyResultLocal,
    ProxyResultUnix,
)
from proxyprotocol.tlv import ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from trioecho.base.proxy_header import (
    MOST_LINE_BYTES,
    MOST_V2_BYTES,
    IncompleteProxyHeaderError,
    MalformedProxyHeaderError,
    NoProxyHeaderError,
    ProxyHeader,
    ProxyHeaderError,
    ProxyHeaderParser,
    ProxyHeaderTooLongError,
    ProxyVersion,
    ProxyVersionError,
    encode_proxy_header,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ORACLES: dict[int, ProxyProtocol] = {1: ProxyProtocolV1(), 2: ProxyProtocolV2()}

versions = st.sampled_from([1, 2])
ports = st.integers(0, 0xFFFF)
stream = st.just(socket.SOCK_STREAM)
ipv4_pairs = st.tuples(st.ip_addresses(v=4), ports)
ipv6_pairs = st.tuples(st.ip_addresses(v=6), ports)
ipv4 = st.builds(ProxyResultIPv4, ipv4_pairs, ipv4_pairs, protocol=stream)
ipv6 = st.builds(ProxyResultIPv6, ipv6_pairs, ipv6_pairs, protocol=stream)
tcp = ipv4 | ipv6


def parse(data: bytes, accepts: ProxyVersion = "auto", *, most: int = 1 << 16) -> tuple[ProxyHeader, bytes]:
    """The header that data begins with, and the rest; at most so many bytes come at a time."""
    parser = ProxyHeaderParser(accepts)
    position = 0
    while True:
        end = position + min(parser.wanted, most)
        header = parser.receive(data[position:end])
        position = min(end, len(data))
        if header is not None:
            return header, data[position:]


def as_socket_address(address: tuple[IPv4Address | IPv6Address, int]) -> tuple[object, ...]:
    host, port = address
    if host.version == 4:
        return str(host), port
    return socket.inet_ntop(socket.AF_INET6, host.packed), port, 0, 0


def v2(command: int, family: int, addresses: bytes, *, length: int | None = None) -> bytes:
    announced = len(addresses) if length is None else length
    return SIGNATURE + bytes([command, family]) + announced.to_bytes(2, "big") + addresses


# ---- beside another implementation ----


@given(versions, tcp, st.binary(max_size=60), st.integers(1, 60))
def test_a_header_of_another_implementation_is_read_however_it_is_cut(
    version: int, result: ProxyResultIPv4 | ProxyResultIPv6, rest: bytes, most: int
) -> None:
    wire = ORACLES[version].pack(result)
    header, left = parse(wire + rest, most=most)
    assert header == ProxyHeader(version, as_socket_address(result.source), as_socket_address(result.dest))
    assert left == rest


@given(ipv4, st.binary(max_size=300), st.binary(max_size=20))
def test_extensions_are_skipped(result: ProxyResultIPv4, extension: bytes, rest: bytes) -> None:
    extensions = ProxyProtocolTLV(init={0xE0: extension, 0x05: b"an id"})
    extended = ProxyResultIPv4(result.source, result.dest, protocol=socket.SOCK_STREAM, tlv=extensions)
    wire = ORACLES[2].pack(extended)
    assert len(wire) > 28 + len(extension)
    header, left = parse(wire + rest)
    assert header.source == as_socket_address(result.source)
    assert left == rest


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP6 :: :: 0 0\r\n",
        b"PROXY TCP6 ::1 :: 0 10\r\n",
        b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN \r\n",
        b"PROXY UNKNOWN x\r\n",
    ],
)
@pytest.mark.parametrize("most", [*range(1, 24), 1000])
def test_of_a_short_line_not_a_byte_too_many_is_wanted(line: bytes, most: int) -> None:
    assert parse(line + b"\0\0\0\1a", most=most)[1] == b"\0\0\0\1a"


@given(versions, tcp)
def test_another_implementation_reads_our_headers(
    version: int, result: ProxyResultIPv4 | ProxyResultIPv6
) -> None:
    ours = encode_proxy_header(
        "v1" if version == 1 else "v2", as_socket_address(result.source), as_socket_address(result.dest)
    )
    read = ORACLES[version].unpack(ours)
    assert isinstance(read, type(result))
    assert (read.source, read.dest) == (result.source, result.dest)
    assert parse(ours) == (
        ProxyHeader(version, as_socket_address(result.source), as_socket_address(result.dest)),
        b"",
    )


@given(st.binary(max_size=MOST_LINE_BYTES))
@example(b"0.0.0.0 0.0.0.0 0 0")
def test_a_line_is_read_as_another_implementation_reads_it_or_refused(text: bytes) -> None:
    line = b"PROXY TCP4 " + text.replace(b"\n", b"") + b"\r\n"
    with suppress(ProxyHeaderError):
        header, _ = parse(line)
        read = ORACLES[1].unpack(line)
        assert isinstance(read, ProxyResultIPv4)
        assert header.source == as_socket_address(read.source)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=260))
def test_version_2_is_read_as_another_implementation_reads_it_or_refused(
    command: int, family: int, addresses: bytes
) -> None:
    wire = v2(command, family, addresses)
    with suppress(ProxyHeaderError):
        header, _ = parse(wire)
        if not isinstance(header.source, tuple):
            return
        size = 12 if family < 0x20 else 36  # its extensions may be none, at which the other fails
        read: ProxyResult = ORACLES[2].unpack(v2(command, family, addresses[:size]))
        assert isinstance(read, ProxyResultIPv4 | ProxyResultIPv6)
        assert header.source == as_socket_address(read.source)


# ---- the balancer's own connections, and those of which it does not say more ----


@pytest.mark.parametrize(
    "wire",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        b"PROXY UNKNOWN \r\r\r\n",
        ORACLES[2].pack(ProxyResultLocal()),
        v2(0x20, 0x11, bytes(12)),
        v2(0x20, 0xFF, b"whatever"),
        v2(0x21, 0x00, b"whatever"),
        v2(0x21, 0x10, b""),
        encode_proxy_header("v1", None, None),
        encode_proxy_header("v2", "/a/path", None),
    ],
)
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_the_addresses_of_the_connection_itself_stay(wire: bytes, most: int) -> None:
    header, left = parse(wire + b"\0\0\0\1a", most=most)
    assert (header.source, header.destination) == (None, None)
    assert left == b"\0\0\0\1a"


def test_paths_of_unix_sockets() -> None:
    wire = ORACLES[2].pack(ProxyResultUnix("/run/client", "/run/server", protocol=socket.SOCK_STREAM))
    assert parse(wire) == (ProxyHeader(2, "/run/client", "/run/server"), b"")
    named = v2(0x21, 0x31, b"\0name".ljust(108, b"\0") + bytes(108))
    assert parse(named) == (ProxyHeader(2, b"\0name", ""), b"")


# ---- what is refused ----


@pytest.mark.parametrize(
    "line",
    [
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
        b"PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
        b"PROXY TCP6 ::1::2 ::2 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN\n",
    ],
)
def test_a_line_that_breaks_a_rule(line: bytes) -> None:
    with pytest.raises(MalformedProxyHeaderError) as caught:
        parse(line)
    assert caught.value.version == 1
    assert line.startswith(caught.value.header)


@pytest.mark.parametrize(
    "wire",
    [
        v2(0x11, 0x11, bytes(12)),
        v2(0x22, 0x11, bytes(12)),
        v2(0x21, 0x41, bytes(12)),
        v2(0x21, 0x13, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x21, bytes(35)),
        v2(0x21, 0x31, bytes(215)),
    ],
)
def test_version_2_that_breaks_a_rule(wire: bytes) -> None:
    with pytest.raises(MalformedProxyHeaderError) as caught:
        parse(wire)
    assert caught.value.version == 2


def test_a_line_without_an_end_is_refused_at_its_limit() -> None:
    longest = b"PROXY UNKNOWN " + b"x" * (MOST_LINE_BYTES - 16) + b"\r\n"
    assert parse(longest) == (ProxyHeader(1), b"")
    with pytest.raises(ProxyHeaderTooLongError) as caught:
        parse(b"PROXY UNKNOWN " + b"x" * 1000)
    assert (caught.value.length, caught.value.limit) == (108, 107)


def test_a_long_header_of_version_2_is_refused_before_any_of_it_is_stored() -> None:
    assert parse(v2(0x21, 0x11, bytes(MOST_V2_BYTES)))[1] == b""
    parser = ProxyHeaderParser()
    with pytest.raises(ProxyHeaderTooLongError) as caught:
        parser.receive(v2(0x21, 0x11, b"", length=MOST_V2_BYTES + 1))
    assert (caught.value.length, caught.value.limit) == (MOST_V2_BYTES + 17, MOST_V2_BYTES + 16)
    assert len(parser.received) == 16


@pytest.mark.parametrize(("accepts", "other", "version"), [("v1", "v2", 2), ("v2", "v1", 1)])
def test_another_version_than_the_accepted_one(
    accepts: Literal["v1", "v2"], other: Literal["v1", "v2"], version: int
) -> None:
    wire = encode_proxy_header(other, ("1.2.3.4", 5), ("6.7.8.9", 10))
    assert parse(wire)[0].version == version
    with pytest.raises(ProxyVersionError) as caught:
        parse(wire, accepts)
    assert (caught.value.version, caught.value.accepted) == (version, 3 - version)
    same = encode_proxy_header(accepts, ("1.2.3.4", 5), ("6.7.8.9", 10))
    assert parse(same, accepts)[0].source == ("1.2.3.4", 5)


@given(st.binary(min_size=1, max_size=50), st.integers(1, 50))
@example(b"GET / HTTP/1.1\r\n\r\n", 50)
@example(b"\0\0\0\1a", 1)
@example(b"PROXIES", 2)
def test_what_is_no_header_is_refused_by_its_first_byte_that_shows_it(data: bytes, most: int) -> None:
    begins_one = any(sign.startswith(data[: len(sign)]) for sign in (b"PROXY ", SIGNATURE))
    parser = ProxyHeaderParser()
    refusal: ProxyHeaderError | None = None
    for start in range(0, len(data), most):
        assert parser.wanted >= 1
        try:
            if parser.receive(data[start : start + most]) is not None:
                return
        except ProxyHeaderError as error:
            refusal = error
            break
    assert begins_one or isinstance(refusal, NoProxyHeaderError)
    if isinstance(refusal, NoProxyHeaderError):
        assert not begins_one
        assert data.startswith(refusal.first_bytes)
        # Without what came last, it could still have been one.
        before = refusal.first_bytes[:-most]
        assert any(sign.startswith(before) for sign in (b"PROXY ", SIGNATURE))


@given(versions, tcp, st.data())
def test_an_end_inside_a_header(
    version: int, result: ProxyResultIPv4 | ProxyResultIPv6, data: st.DataObject
) -> None:
    wire = ORACLES[version].pack(result)
    cut = data.draw(st.integers(0, len(wire) - 1))
    with pytest.raises(IncompleteProxyHeaderError) as caught:
        parse(wire[:cut])
    assert caught.value.received == cut
    assert 1 <= caught.value.missing <= len(wire) - cut


def test_a_scope_is_not_sent() -> None:
    wire = encode_proxy_header("v1", ("fe80::1%lo", 1, 0, socket.if_nametoindex("lo")), ("fe80::2", 2, 0, 1))
    assert wire == b"PROXY TCP6 fe80::1 fe80::2 1 2\r\n"
