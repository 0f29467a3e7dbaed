"""What the values of options mean, and which are refused with a reason."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

import pytest

from trioecho import FrameFormat
from trioecho.cli import load_values
from trioecho.cli.shared import values


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("65536", 65536),
        ("64KiB", 65536),
        ("64 kib", 65536),
        ("1MiB", 1 << 20),
        ("3GiB", 3 << 30),
        ("2kB", 2000),
        ("64k", 65536),
        ("64K", 65536),
        ("1.5MiB", 3 << 19),
        (".5g", 1 << 29),
        ("1Ti", 1 << 40),
        ("0.5kB", 500),
        ("1.1KiB", 1127),
        ("1MB", 10**6),
        ("7B", 7),
        ("4294967296", 1 << 32),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("u32be", "00 00 00 05"),
        ("u32le", "05 00 00 00"),
        ("U16BE", "00 05"),
        ("u8", "05"),
        ("u64le", "05 00 00 00 00 00 00 00"),
        ("u16be+header", "00 07"),
        ("u8+header", "06"),
    ],
)
def test_formats(text: str, header: str) -> None:
    assert values.frame_format(text).encode_header(5).hex(" ") == header


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "write u32be for 4 bytes"),
        ("u32", "write u32be or u32le"),
        ("u24", "write u24be or u24le"),
        ("32be", "write u32be for 4 bytes"),
        ("u8be", "write u8"),
        ("u32be+", "write u32be for 4 bytes"),
        ("u32be +header", "write u32be for 4 bytes"),
        ("u32bele", "write u32be for 4 bytes"),
        ("zookeper", "did you mean zookeeper?"),
        ("DNSS", "did you mean dns?"),
        ("warp", "trioecho formats lists all"),
        ("any1,varint4,foo", "part 3, 'foo', is none of"),
    ],
)
def test_what_is_not_a_format_is_refused_with_an_example(text: str, hint: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(hint)):
        values.frame_format(text)


@pytest.mark.parametrize("text", ["dns", "any1,varint4", "any3,u32be,payload,xce", "u24le,any1"])
def test_any_format_is_read(text: str) -> None:
    assert values.frame_format(text) == FrameFormat.parse(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10", 10),
        ("10s", 10),
        ("500ms", 0.5),
        ("0", 0),
        ("1.5s", 1.5),
        (".5", 0.5),
        ("2m", 120),
        ("1h", 3600),
        ("2d", 2 * 86400),
        ("1w", 7 * 86400),
        ("100us", 0.0001),
        ("100µs", 0.0001),
        ("1m30s", 90),
        ("1h 30min", 5400),
        ("1.5m250ms", 90.25),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:1", "127.0.0.1", 1), ("[::1]:65535", "::1", 65535), ("example.org:80", "example.org", 80)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    address = values.address(text)
    assert address == (host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "rate"),
    [("5000", 5000), ("20k", 20_000), ("1.5M", 1_500_000), ("0.5", 0.5), ("10/s", 10), ("0", 0)],
)
def test_rates(text: str, rate: float) -> None:
    assert load_values.rate(text) == rate


def test_ramps() -> None:
    assert load_values.ramp("0:5000/30s") == (0, 5000, 30)
    assert load_values.ramp("2k:1k/500ms") == (2000, 1000, 0.5)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("64", [(64, 64, 1)]),
        ("0-4KiB", [(0, 4096, 1)]),
        ("64:9,64KiB:1", [(64, 64, 9), (65536, 65536, 1)]),
        ("1-2:0.5,3", [(1, 2, 0.5), (3, 3, 1)]),
    ],
)
def test_sizes_with_weights(text: str, ranges: list[tuple[int, int, float]]) -> None:
    assert list(load_values.sizes(text).ranges) == ranges


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (load_values.rate, ""),
        (load_values.rate, "-1"),
        (load_values.rate, "1e3"),
        (load_values.rate, "9" * 400),
        (load_values.rate, "5000ms"),
        (load_values.positive_rate, "0"),
        (load_values.ramp, "5"),
        (load_values.ramp, "0:5"),
        (load_values.ramp, "0:5/"),
        (load_values.ramp, "0:5:6/1s"),
        (load_values.sizes, ""),
        (load_values.sizes, "64,"),
        (load_values.sizes, "64:"),
        (load_values.sizes, "64:0"),
        (load_values.sizes, "64:-1"),
        (load_values.sizes, "2-1:5"),
        (load_values.objective, "p99"),
        (values.size, ""),
        (values.size, "-1"),
        (values.size, "1.5"),
        (values.size, "1.5B"),
        (values.size, "1x"),
        (values.size, "k"),
        (values.size, "1k1"),
        (values.size, "8EiB"),
        (values.size, "8388608TiB"),
        (values.size, "1e3"),
        (values.size, "٣"),
        (values.size, "9" * 5000),
        (values.seconds, ""),
        (values.seconds, "s"),
        (values.seconds, "-1s"),
        (values.seconds, "1m30"),
        (values.seconds, "30s1m"),
        (values.seconds, "1s1s"),
        (values.seconds, "1e3s"),
        (values.seconds, "inf"),
        (values.seconds, "nan"),
        (values.seconds, "366d"),
        (values.seconds, "1e3"),
        (values.seconds, "9" * 400),
        (values.count, "-1"),
        (values.count, "1.0"),
        (values.count, "9" * 10),
        (values.seed, "Random"),
        (values.one_of("text", "json"), "jsn"),
        (values.port, "65536"),
        (values.port, "+1"),
        (values.host, "a..b"),
        (values.host, "x" * 64),
        (values.host, "user@host"),
        (values.host, "http://host"),
        (values.host, "\udcff"),
        (values.host, ""),
        (values.address, "[::1"),
        (values.address, "host:"),
    ],
)
def test_what_is_not_a_value_is_refused_with_a_reason(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"\w"):
        parse(text)
