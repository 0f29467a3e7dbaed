"""The options of a load for its sockets, and what is refused before any is opened."""

from __future__ import annotations

import argparse
import sys

import pytest

from trioecho.cli import main
from trioecho.cli.load_sockets import add_socket_options, sockets_of
from trioecho.cli.shared.values import Address
from trioecho.load import SocketOptions


def options_from(*words: str) -> SocketOptions:
    parser = argparse.ArgumentParser()
    add_socket_options(parser.add_argument_group())
    known = argparse.Namespace(address=Address("127.0.0.1", 1), cluster=None)
    return sockets_of(parser.parse_args(words, known))


def test_without_options_small_segments_are_sent_at_once_and_all_else_is_the_systems() -> None:
    assert options_from() == options_from("--nodelay") == SocketOptions()
    assert SocketOptions().in_words == ""


def test_what_the_options_mean() -> None:
    words = ["--nagle", "--sndbuf", "64KiB", "--rcvbuf", "128k", "--mss", "600", "--dscp", "af11"]
    assert options_from(*words) == SocketOptions(False, 65536, 131_072, None, 600, 10)


@pytest.mark.parametrize(
    ("text", "dscp"),
    [
        ("0", 0),
        ("46", 46),
        ("08", 8),
        ("0x2e", 46),
        ("EF", 46),
        ("cs7", 56),
        ("af43", 38),
        ("va", 44),
        ("le", 1),
    ],
)
def test_code_points_have_numbers_and_names(text: str, dscp: int) -> None:
    assert options_from("--dscp", text).dscp == dscp


@pytest.mark.parametrize(
    ("address", "options", "reason"),
    [
        (
            "127.0.0.1:1",
            "--nagle --nodelay",
            "--nagle and --nodelay are opposites of each other; leave out one",
        ),
        ("127.0.0.1:1", "--mss 20", "(MSS) has from 88 to 32767 bytes, not 20"),
        ("127.0.0.1:1", "--sndbuf 0", "a send buffer has from 1 to 1073741823 bytes, not 0"),
        ("127.0.0.1:1", "--rcvbuf 2GiB", "a receive buffer has from 1 to 1073741823 bytes, not 2147483648"),
        ("127.0.0.1:1", "--dscp 64", "'64' is neither a code point from 0 to 63 nor the name of one"),
        ("127.0.0.1:1", "--dscp 0x40", "'0x40' is neither a code point from 0 to 63"),
        ("127.0.0.1:1", "--dscp cs8", "did you mean cs7?"),
        ("127.0.0.1:1", "--congestion a/b", "'a/b' cannot be the name of a congestion control"),
        ("unix:/x", "--mss 600", "--mss is for TCP, and unix:/x is a Unix socket; leave it out"),
        ("unix:/x", "--nagle", "--nagle is for TCP, and unix:/x is a Unix socket"),
        ("unix:/x", "--dscp ef", "--dscp is for TCP"),
        ("unix:/x", "--congestion reno", "--congestion is for TCP"),
        ("unix:/x", "--rcvbuf 64k", "--rcvbuf is for TCP"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(
    address: str, options: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(["load", address, *options.split()])
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    [line] = captured.err.splitlines()
    assert reason in line


@pytest.mark.skipif(sys.platform != "linux", reason="congestion control can be chosen on Linux alone")
def test_an_algorithm_that_the_kernel_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "127.0.0.1:1", "--congestion", "nosuch"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "this kernel has no congestion control nosuch; it has " in line
    assert "reno" in line
