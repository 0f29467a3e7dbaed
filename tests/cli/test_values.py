"""What the values of options mean, and which are refused with a reason."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

import pytest

from trioecho import FrameFormat
from trioecho.cli import load_schedule, load_values
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


def test_stages() -> None:
    read = load_schedule.stages
    assert read("0:5k/10s, 5k/1m, peak=20k/5s,0") == (
        ("0:5k/10s", 0, 5000, 10),
        ("5k/1m", 5000, 5000, 60),
        ("peak", 20_000, 20_000, 5),
    )
    assert read("5k/1m") == read("5k/1m,0") == (("5k/1m", 5000, 5000, 60),)
    assert [stage.name for stage in read("5/1s,0/1s,5/1s,x=5/1s,5/1s")] == [
        *("5/1s", "0/1s", "5/1s#2", "x", "5/1s#3")
    ]
    [long] = read(f"{'0' * 12}.{'0' * 9}:1.{'0' * 9}/1.{'0' * 20}s")
    assert long == ("0:1/1s", 0, 1, 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' has no stage; write RATE/TIME or FROM:TO/TIME, as 5k/1m or 0:5k/10s"),
        (",", "',': stage 1 is empty; write RATE/TIME"),
        ("5k/1s,,0", "stage 2 is empty"),
        ("0", "stage 1, '0', has no time"),
        ("5k/1s,0,5k/1s", "stage 2, '0', has no time; only a last 0 stands alone, as the end"),
        ("5k/1s,5k", "'5k/1s,5k': stage 2, '5k', has no time; write RATE/TIME"),
        ("5k/1s,5k/", "stage 2: '' is not a duration"),
        ("5k/1s,5q/1s", "'5k/1s,5q/1s': stage 2: '5q' is not a rate; write messages per second as"),
        ("5k/1s,6:7:8/1s", "stage 2: '7:8' is not a rate"),
        ("5k/1s/1s", "stage 1: '1s/1s' is not a duration"),
        ("-5/1s", "stage 1: '-5' is not a rate"),
        ("5k/0", "stage 1, '5k/0', takes no time"),
        ("=5k/1s", "has an empty name; write NAME=RATE/TIME, as peak=20k/5s"),
        ("a b=5k/1s", "the name of stage 1 needs from 1 to 40 characters, without spaces"),
        ("a@b=5k/1s", "the name of stage 1 needs"),
        (f"{'a' * 41}=5k/1s", "the name of stage 1 needs"),
        ("x=5k/1s,x=6k/1s", "2 stages have the name x; each needs one of its own"),
        ("x#2=5k/1s,5k/1s,5k/1s,5k/1s#2=1/1s", "2 stages have the name 5k/1s#2"),
        ("0/1s,0:0/2s", "in none of the stages is any message due"),
        ("9999M/1s", "stage 1, from 9.999e+09 to 9.999e+09 messages/s, is impossible"),
        (",".join(["1/1s"] * 101), "101 stages are too many; 100 at most"),
        ("5k/1s\n,x", "stage 2, 'x', has no time"),
    ],
)
def test_wrong_stages_have_their_place(text: str, reason: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        load_schedule.stages(text)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


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


def test_a_host_with_a_port_is_told_where_ports_go() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is a host with a port; give the port by itself"):
        values.host("localhost:26067")
    assert values.host("[::1]") == values.host("::1") == "::1"
