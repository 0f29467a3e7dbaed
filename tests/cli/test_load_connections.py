"""The options for how connections of a load come and go, and what is refused before any is opened."""

from __future__ import annotations

import argparse
import sys

import pytest

from trioecho.cli import main
from trioecho.cli.load_connections import add_connection_options, churn_of
from trioecho.cli.shared.values import Address
from trioecho.load import Churn, Span


def churn_from(*words: str) -> Churn:
    parser = argparse.ArgumentParser()
    add_connection_options(parser.add_argument_group())
    return churn_of(parser.parse_args(words, argparse.Namespace(address=Address("127.0.0.1", 1))))


def test_without_options_connections_are_open_to_the_end() -> None:
    assert churn_from() == Churn()


def test_what_the_options_mean() -> None:
    churn = churn_from(
        "--reconnect", "--per-connection", "10-20", "--lifetime", "500ms-1m", "--connect-rate", "1k",
        "--source", "127.0.0.1",
    )  # fmt: skip
    assert churn == Churn(True, Span(10, 20), Span(0.5, 60.0), 1000.0, ("127.0.0.1",))
    assert churn_from("--bind", "127.0.0.1", "--source", "127.0.0.2").sources == ("127.0.0.1", "127.0.0.2")
    assert churn_from("--per-connection", "7").per_connection == Span(7, 7)
    assert churn_from("--lifetime", "2s").lifetime_s == Span(2.0, 2.0)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--per-connection", "0"), "'0' is too few; at least 1"),
        (("--per-connection", "x"), "is not a whole number"),
        (("--connect-rate", "0"), "a rate of 0 opens none; write new connections per second as 50"),
        (("--per-connection", "20-10"), "has its larger end first; write 10-20"),
        (("--lifetime", "0s"), "is no lifetime"),
        (("--lifetime", "1m-1s"), "has its larger end first; write 1s-1m"),
        (("--source", "localhost"), "is not an IP address; write one as 127.0.0.2"),
        (
            ("--source", "192.0.2.1"),
            "cannot be made from 192.0.2.1: this machine does not have it",
        ),
        (("--bind", "127.0.0.1", "--source", "127.0.0.1"), "is there twice"),
        (("--bind", "127.0.0.1%"), "names no device behind the %; write one as 127.0.0.2%lo"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(
    options: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(["load", "127.0.0.1:1", *options])
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    [line] = captured.err.splitlines()
    assert reason in line


@pytest.mark.skipif(sys.platform != "linux", reason="::1 may not be there")
def test_a_source_of_another_family_than_the_server() -> None:
    parser = argparse.ArgumentParser()
    add_connection_options(parser.add_argument_group())
    arguments = parser.parse_args(["--source", "127.0.0.1"], argparse.Namespace(address=Address("::1", 1)))
    with pytest.raises(Exception, match="not both of IPv4, or both of IPv6"):
        churn_of(arguments)


@pytest.mark.skipif(sys.platform != "linux", reason="a device can be chosen on Linux alone")
def test_a_device_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "127.0.0.1:1", "--bind", "127.0.0.1%nowhere"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "127.0.0.1%nowhere: this machine has no network device nowhere" in line
